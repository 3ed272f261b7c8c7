//! What an observer has on its disk outlives its process, and goes where its leader says.

use ringkeeper_engine::Zxid;
use ringkeeper_engine::client::Error;

use crate::ensemble::Ensemble;
use crate::history::{create, set};
use crate::link::{Link, put_snap};
use crate::member::Member;

/// A server that has taken over a state with one node, and two transactions behind it.
fn synchronized(ensemble: &Ensemble) -> Member {
    ensemble.lock().history.write(create("/a", b"0"));
    let member = ensemble.start(&[]);
    ensemble.lead(2);
    member.wait_line("synchronized with server 2 by SNAP", 1);
    ensemble.wait_offer();
    for data in [b"1", b"2"] {
        ensemble.write(set("/a", data));
    }
    see(&member, b"2");
    member
}

/// Waits until the data of `/a` is this, over a session of its own.
fn see(member: &Member, data: &[u8]) {
    let mut client = member.connect();
    client.sync("/a").unwrap();
    assert_eq!(client.get("/a").unwrap().0.as_deref(), Some(data));
    client.close().unwrap();
}

fn last(ensemble: &Ensemble) -> Zxid {
    ensemble.lock().history.last()
}

#[test]
fn observer_that_was_killed_offers_its_log_and_gets_a_diff() {
    let ensemble = Ensemble::of_server_4();
    let member = synchronized(&ensemble);
    let before = last(&ensemble);
    ensemble.forget();
    member.kill();
    // The same leader: its epoch was promised before.
    ensemble.write(set("/a", b"3"));
    let member = ensemble.start(&[]);
    assert_eq!(ensemble.wait_offer(), (1, before, None));
    member.wait_line("synchronized with server 2 by DIFF", 1);
    see(&member, b"3");
    let before = last(&ensemble);
    ensemble.forget();
    member.kill();
    // And the next one.
    ensemble.lose_leader();
    let member = ensemble.start(&[]);
    ensemble.lead_next_epoch(3);
    ensemble.lock().history.write(set("/a", b"4"));
    assert_eq!(ensemble.wait_offer(), (1, before, Some(1)));
    member.wait_line("synchronized with server 3 by DIFF", 1);
    see(&member, b"4");
    assert!(last(&ensemble).epoch() == 2 && member.count_lines("by SNAP") == 0);
}

/// The last transaction was of a leader that nothing is left of.
#[test]
fn observer_with_a_tail_of_its_own_cuts_it_after_a_restart() {
    let ensemble = Ensemble::of_server_4();
    let member = synchronized(&ensemble);
    let kept = ensemble.lock().history.txns.len();
    ensemble.write(set("/a", b"lost"));
    see(&member, b"lost");
    let before = last(&ensemble);
    ensemble.forget();
    member.kill();
    ensemble.lose_leader();
    ensemble.lock().history.begin_epoch_without(kept, 2);
    ensemble.lead_next_epoch(3);
    ensemble.lock().history.write(set("/b", b"an error"));
    let member = ensemble.start(&[]);
    let (_, offered, _) = ensemble.wait_offer();
    assert!(offered >= before, "{offered}");
    member.wait_line("synchronized with server 3 by TRUNC", 1);
    see(&member, b"2");
    let before = last(&ensemble);
    ensemble.forget();
    member.kill();
    let member = ensemble.start(&[]);
    assert_eq!(ensemble.wait_offer(), (2, before, None));
    see(&member, b"2");
}

/// Clients that are connected have seen what is not there any more.
#[test]
fn state_replaces_everything_and_closes_connections() {
    let ensemble = Ensemble::of_server_4();
    let member = synchronized(&ensemble);
    let mut client = member.connect();
    client.create("/seen", b"").unwrap();
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.lead_next_epoch(3);
    // That was a DIFF, which closes none.
    assert!(client.set("/seen", b"1").is_ok());
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.script(Link::send_state);
    ensemble.lock().history.write(create("/new", b""));
    ensemble.lead_next_epoch(1);
    member.wait_line("synchronized with server 1 by SNAP", 1);
    assert!(matches!(client.receive(), Err(Error::Closed)), "it is closed");
    let mut client = member.resume(client.session()).expect("its session lives");
    assert_eq!(client.children("/").unwrap(), ["a", "new", "seen", "zookeeper"]);
    let before = last(&ensemble);
    ensemble.forget();
    member.kill();
    let member = ensemble.start(&[]);
    assert_eq!(ensemble.wait_offer().1, before);
    member.wait_line("synchronized with server 1 by DIFF", 1);
    see(&member, b"2");
}

/// Half of a state has come; what is on the disk is what was there before.
#[test]
fn observer_that_was_killed_within_a_state_offers_what_it_had() {
    let ensemble = Ensemble::of_server_4();
    let member = synchronized(&ensemble);
    let before = last(&ensemble);
    ensemble.lose_leader();
    ensemble.wait_gone();
    ensemble.lock().history.write(create("/large", &[b'x'; 300_000]));
    ensemble.script(|link| {
        link.discover()?;
        let mut bytes = Vec::new();
        put_snap(&link.shared.lock(), &mut bytes);
        link.send_bytes(&bytes[..bytes.len() / 2])?;
        link.be_silent()
    });
    ensemble.forget();
    ensemble.lead_next_epoch(3);
    ensemble.wait_offer();
    while !member.word("role").contains("0.2 MB received") {
        assert_eq!(member.count_lines("server 3 has ended"), 0, "{:#?}", member.lines());
    }
    member.kill();
    let member = ensemble.start(&[]);
    assert_eq!(ensemble.wait_offer(), (2, before, None));
    member.wait_line("synchronized with server 3 by DIFF", 1);
    see(&member, b"2");
}

/// What is on the disk is known not to be the leader's, also after a restart.
#[test]
fn observer_that_has_diverged_and_was_killed_offers_nothing() {
    let ensemble = Ensemble::of_server_4();
    let member = synchronized(&ensemble);
    ensemble.script(|link| {
        link.discover()?;
        link.be_silent()
    });
    ensemble.forget();
    {
        let mut state = ensemble.lock();
        state.history.write(set("/a", b"3"));
        state.inform(1);
    }
    assert_eq!(ensemble.wait_offer().1, Zxid::ZERO);
    member.kill();
    let member = ensemble.start(&[]);
    assert_eq!(ensemble.wait_offer().1, Zxid::ZERO);
    member.wait_line("synchronized with server 2 by SNAP", 1);
    see(&member, b"3");
    let before = last(&ensemble);
    ensemble.forget();
    member.kill();
    let member = ensemble.start(&[]);
    assert_eq!(ensemble.wait_offer().1, before, "the note went with the old state");
    see(&member, b"3");
}
