//! New connections: a bucket of tokens, and before it a chance to be rejected that follows how
//! empty the bucket is (the BLUE algorithm, as ZooKeeper has it).

use crate::Millis;

/// The bucket and its chance.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// Connections that the full bucket is good for.
    pub tokens_max: u32,
    /// Milliseconds in which `fill_count` of them come back.
    pub fill_ms: i64,
    /// See [`ConnectionLimits::fill_ms`].
    pub fill_count: u32,
    /// The chance to be rejected; `None`: the tokens alone decide.
    pub blue: Option<Blue>,
    /// What a new session costs. The bucket and what flows into it grow by the same factor.
    pub open_weight: u32,
    /// What re-attaching a session costs.
    pub renew_weight: u32,
    /// Where the random numbers of the chance begin.
    pub seed: u64,
}

/// How the chance to be rejected moves.
#[derive(Clone, Copy, Debug)]
pub struct Blue {
    /// Milliseconds between two moves.
    pub freeze_ms: i64,
    /// Added while there is no token left.
    pub increase: f64,
    /// Taken off while enough of the tokens are there.
    pub decrease: f64,
    /// The share of the tokens that may be missing when enough are there.
    pub enough_missing: f64,
}

/// The kinds of new connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewConnection {
    /// A client that opens a session.
    Open,
    /// A client that re-attaches its session.
    Renew,
}

/// What has happened since it was last taken.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ConnectionTally {
    /// Connections that were rejected.
    pub rejected: u64,
    /// Connections that were admitted.
    pub admitted: u64,
    /// Tokens missing behind each of those, all together.
    pub missing: u64,
    /// The fewest of one.
    pub missing_min: u64,
    /// The most of one.
    pub missing_max: u64,
}

impl ConnectionTally {
    /// Takes another one along.
    pub fn add(&mut self, more: ConnectionTally) {
        self.rejected += more.rejected;
        if more.admitted == 0 {
            return;
        }
        let first = self.admitted == 0;
        let min = if first { more.missing_min } else { self.missing_min.min(more.missing_min) };
        self.missing_min = min;
        self.missing_max = self.missing_max.max(more.missing_max);
        self.admitted += more.admitted;
        self.missing += more.missing;
    }
}

/// Decides which connections are admitted. One per server.
#[derive(Debug)]
pub struct ConnectionThrottle {
    limits: ConnectionLimits,
    tokens_max: i64,
    tokens: i64,
    filled: Millis,
    moved: Millis,
    chance: f64,
    random: u64,
    tally: ConnectionTally,
}

impl ConnectionThrottle {
    /// A full bucket, and no chance to be rejected.
    pub fn new(limits: ConnectionLimits, now: Millis) -> ConnectionThrottle {
        let tokens_max = i64::from(limits.tokens_max) * i64::from(limits.open_weight);
        let random = limits.seed;
        ConnectionThrottle {
            limits,
            tokens_max,
            tokens: tokens_max,
            filled: now,
            moved: now,
            chance: 0.0,
            random,
            tally: ConnectionTally::default(),
        }
    }

    /// Admits one, or rejects it. The time is monotonic.
    pub fn admit(&mut self, kind: NewConnection, now: Millis) -> bool {
        self.fill(now);
        let cost = i64::from(match kind {
            NewConnection::Open => self.limits.open_weight,
            NewConnection::Renew => self.limits.renew_weight,
        });
        // Order: the chance is drawn before the tokens are counted, as in ZooKeeper, so that it
        // moves with those who would have found no token as well.
        if self.is_unlucky(now) || self.tokens < cost {
            self.tally.rejected += 1;
            return false;
        }
        self.tokens -= cost;
        let missing = u64::try_from(self.tokens_max - self.tokens).expect("no more than the most");
        let one = ConnectionTally {
            rejected: 0,
            admitted: 1,
            missing,
            missing_min: missing,
            missing_max: missing,
        };
        self.tally.add(one);
        true
    }

    /// The chance to be rejected.
    pub fn chance(&self) -> f64 {
        self.chance
    }

    /// What has happened since the last call.
    pub fn take_tally(&mut self) -> ConnectionTally {
        std::mem::take(&mut self.tally)
    }

    fn fill(&mut self, now: Millis) {
        let passed = now.0 - self.filled.0;
        if passed <= self.limits.fill_ms {
            return;
        }
        let flow = i128::from(self.limits.fill_count) * i128::from(self.limits.open_weight);
        let added = i128::from(passed) * flow / i128::from(self.limits.fill_ms.max(1));
        let tokens = i128::from(self.tokens) + added;
        let tokens = tokens.min(i128::from(self.tokens_max));
        self.tokens = i64::try_from(tokens).expect("between none and the most");
        self.filled = now;
    }

    fn is_unlucky(&mut self, now: Millis) -> bool {
        let Some(blue) = self.limits.blue else { return false };
        if now.0 - self.moved.0 > blue.freeze_ms {
            self.moved = now;
            let missing = (self.tokens_max - self.tokens) as f64;
            if self.tokens == 0 {
                self.chance = (self.chance + blue.increase).min(1.0);
            } else if missing <= (self.tokens_max as f64 * blue.enough_missing).round() {
                self.chance = (self.chance - blue.decrease).max(0.0);
            }
        }
        self.draw() < self.chance
    }

    /// A number from 0 to below 1 (SplitMix64).
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ConnectionLimits = ConnectionLimits {
        tokens_max: 5,
        fill_ms: 100,
        fill_count: 2,
        blue: None,
        open_weight: 1,
        renew_weight: 1,
        seed: 7,
    };

    fn admitted(
        throttle: &mut ConnectionThrottle,
        kind: NewConnection,
        times: usize,
        ms: i64,
    ) -> usize {
        (0..times).filter(|_| throttle.admit(kind, Millis(ms))).count()
    }

    #[test]
    fn connections_are_rejected_without_tokens_and_admitted_as_they_flow_in() {
        let mut throttle = ConnectionThrottle::new(LIMITS, Millis(0));
        assert_eq!(admitted(&mut throttle, NewConnection::Open, 8, 0), 5);
        assert_eq!(
            admitted(&mut throttle, NewConnection::Open, 8, 100),
            0,
            "the time is not over yet"
        );
        assert_eq!(admitted(&mut throttle, NewConnection::Open, 8, 150), 3, "in proportion");
        assert_eq!(
            admitted(&mut throttle, NewConnection::Renew, 8, 1_000_000),
            5,
            "no more than fit"
        );
        let tally = throttle.take_tally();
        assert_eq!((tally.admitted, tally.rejected), (13, 3 + 8 + 5 + 3));
        assert_eq!((tally.missing_min, tally.missing_max), (1, 5));
        assert_eq!(tally.missing, 15 + (3 + 4 + 5) + 15);
        assert_eq!(throttle.take_tally(), ConnectionTally::default());
    }

    /// As measured on ZooKeeper 3.9.5: 12 tokens let 12 new sessions in at the weight 3, and a
    /// deficit of 36 is shown.
    #[test]
    fn weights_scale_the_bucket_too() {
        let limits = ConnectionLimits { tokens_max: 12, open_weight: 3, renew_weight: 2, ..LIMITS };
        let mut throttle = ConnectionThrottle::new(limits.clone(), Millis(0));
        assert_eq!(admitted(&mut throttle, NewConnection::Open, 20, 0), 12);
        assert_eq!(throttle.take_tally().missing_max, 36);
        let mut throttle = ConnectionThrottle::new(limits, Millis(0));
        assert_eq!(admitted(&mut throttle, NewConnection::Renew, 20, 0), 18);
        assert_eq!(
            admitted(&mut throttle, NewConnection::Open, 9, 150),
            3,
            "what flows in is scaled"
        );
    }

    #[test]
    fn the_chance_grows_while_empty_and_shrinks_while_full_enough() {
        let blue = Blue { freeze_ms: 20, increase: 0.4, decrease: 0.3, enough_missing: 0.5 };
        let limits = ConnectionLimits { fill_ms: 10_000, blue: Some(blue), ..LIMITS };
        let mut throttle = ConnectionThrottle::new(limits, Millis(0));
        assert_eq!(admitted(&mut throttle, NewConnection::Open, 8, 0), 5);
        let chances: Vec<f64> = [20, 21, 41, 42, 63]
            .into_iter()
            .map(|ms| {
                assert_eq!(admitted(&mut throttle, NewConnection::Open, 3, ms), 0);
                throttle.chance()
            })
            .collect();
        assert_eq!(chances, [0.0, 0.4, 0.4, 0.8, 1.0]);
        // The bucket is full again, and a chance of 1 still rejects one connection.
        assert!(!throttle.admit(NewConnection::Open, Millis(64)));
        assert_eq!(admitted(&mut throttle, NewConnection::Open, 1_000, 100_000), 5);
        assert!((throttle.chance() - 0.7).abs() < 1e-9, "{}", throttle.chance());
        for ms in (100_100..100_400).step_by(100) {
            throttle.tokens = 5;
            throttle.admit(NewConnection::Open, Millis(ms));
        }
        assert_eq!(throttle.chance(), 0.0);
    }

    #[test]
    fn rejections_match_the_chance() {
        let blue = Blue { freeze_ms: 0, increase: 0.25, decrease: 0.0, enough_missing: 0.0 };
        let limits =
            ConnectionLimits { tokens_max: 1, fill_ms: 1 << 40, blue: Some(blue), ..LIMITS };
        let mut throttle = ConnectionThrottle::new(limits, Millis(0));
        assert!(throttle.admit(NewConnection::Open, Millis(0)));
        assert!(!throttle.admit(NewConnection::Open, Millis(1)));
        assert_eq!(throttle.chance(), 0.25);
        throttle.tokens = 10_000;
        throttle.tokens_max = 10_000;
        let admitted = admitted(&mut throttle, NewConnection::Open, 10_000, 1);
        assert!((7_200..7_800).contains(&admitted), "{admitted}");
    }
}
