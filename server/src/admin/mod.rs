//! Reports about the running server: four-letter words and the numbers behind them.

use ringkeeper_engine::shard::Shard;

use crate::sequencer::Sequencer;
use crate::view::View;

/// A shard's place where reports are asked for and answered.
pub struct Desk {}

/// What a report may look at beside the shard.
pub struct Reports<'a> {
    /// The database.
    pub view: &'a View,
    /// The sequencer, where it shares the shard's thread.
    pub sequencer: Option<&'a Sequencer>,
}

impl Desk {
    /// Takes the replies that the shard has made since the last turn into the histograms.
    pub fn note_replies(&mut self, shard: &mut Shard) {
        shard.replied.clear();
    }

    /// Whether another shard asks for something, or an answer has come.
    pub fn has_work(&self) -> bool {
        false
    }

    /// Answers the four-letter words of this shard, and what others ask of it.
    pub fn serve(&mut self, shard: &mut Shard, _reports: &Reports<'_>) {
        for (conn, word) in std::mem::take(&mut shard.words) {
            let text = match word {
                ringkeeper_engine::shard::Word::Ruok => "imok",
                _ => "Zookeeper version: 3.9.5\nMode: standalone\n",
            };
            shard.finish_word(conn, text.as_bytes());
        }
    }
}
