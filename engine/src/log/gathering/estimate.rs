//! What is known about the disk and the clients, from what was measured.

/// A quantile of a stream, followed by small steps: no samples are kept, and one that is far off
/// moves it no further than any other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    value: f64,
    /// The part of the samples that lies below.
    share: f64,
}

/// How far one sample moves a value, as a part of it. At the first one, the value is the sample.
const STEP: f64 = 1.0 / 32.0;

impl Running {
    pub(super) fn new(share: f64) -> Running {
        Running { value: 0.0, share }
    }

    pub(super) fn note(&mut self, sample: f64) {
        if self.value == 0.0 {
            self.value = sample;
        }
        let step = STEP * self.value.max(1.0);
        if sample > self.value {
            self.value += step * 2.0 * self.share;
        } else {
            self.value = (self.value - step * 2.0 * (1.0 - self.share)).max(0.0);
        }
    }

    pub(super) fn micros(&self) -> u64 {
        self.value as u64
    }
}

/// A mean in which old samples fade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    value: f64,
    /// How much of a sample goes into it.
    weight: f64,
}

impl Mean {
    pub(super) fn new(weight: f64) -> Mean {
        Mean { value: 0.0, weight }
    }

    pub(super) fn note(&mut self, sample: f64) {
        if self.value == 0.0 {
            self.value = sample;
        }
        self.value += self.weight * (sample - self.value);
    }

    pub(super) fn get(&self) -> f64 {
        self.value
    }
}

/// When the writes in flight were ordered, oldest first, in a fixed space.
#[derive(Clone, Debug)]
pub(super) struct Ages {
    /// When, and how many.
    arrivals: [(u64, u32); AGES],
    first: usize,
    len: usize,
    total: u64,
}

/// Arrivals kept apart. More are counted to the newest of them, as a little older than they are.
const AGES: usize = 64;

/// Writes that have become durable.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Left {
    pub(super) delay_us: u64,
    pub(super) late: u32,
}

impl Ages {
    pub(super) fn new() -> Ages {
        Ages { arrivals: [(0, 0); AGES], first: 0, len: 0, total: 0 }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn arrived(&mut self, now_us: u64, writes: u32) {
        self.total += u64::from(writes);
        if self.len == AGES {
            self.arrivals[(self.first + AGES - 1) % AGES].1 += writes;
        } else {
            self.arrivals[(self.first + self.len) % AGES] = (now_us, writes);
            self.len += 1;
        }
    }

    /// The oldest ones leave; late is what is older than `bound_us`.
    pub(super) fn left(&mut self, now_us: u64, mut writes: u32, bound_us: u64) -> Left {
        let mut left = Left::default();
        self.total = self.total.saturating_sub(u64::from(writes));
        while writes > 0 && self.len > 0 {
            let (at_us, here) = &mut self.arrivals[self.first];
            let taken = writes.min(*here);
            let age_us = now_us.saturating_sub(*at_us);
            left.delay_us += age_us * u64::from(taken);
            left.late += if age_us > bound_us { taken } else { 0 };
            (*here, writes) = (*here - taken, writes - taken);
            if *here == 0 {
                (self.first, self.len) = ((self.first + 1) % AGES, self.len - 1);
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_quantile_of_noisy_samples_ignores_outliers() {
        let (mut median, mut high) = (Running::new(0.5), Running::new(0.95));
        let mut state = 1_u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let uniform = 100.0 + (state >> 33) as f64 / (1_u64 << 31) as f64 * 100.0;
            let sample = if state >> 33 & 63 == 0 { 1e7 } else { uniform };
            median.note(sample);
            high.note(sample);
        }
        assert!((130..170).contains(&median.micros()), "{median:?}");
        assert!((175..240).contains(&high.micros()), "{high:?}");
    }

    #[test]
    fn writes_leave_in_arrival_order() {
        let mut ages = Ages::new();
        ages.arrived(10, 3);
        ages.arrived(20, 2);
        let left = ages.left(30, 4, 15);
        assert_eq!((left.delay_us, left.late), (3 * 20 + 10, 3));
        let left = ages.left(120, 1, 15);
        assert_eq!((left.delay_us, left.late, ages.total()), (100, 1, 0));
        assert_eq!(ages.left(130, 7, 0).late, 0);
    }

    #[test]
    fn arrivals_beyond_the_space_count_as_older() {
        let mut ages = Ages::new();
        (0..1_000).for_each(|at| ages.arrived(at, 1));
        let left = ages.left(1_000, 1_000, 0);
        assert_eq!((ages.total(), left.late), (0, 1_000));
        let exact: u64 = (0..1_000).map(|at| 1_000 - at).sum();
        assert!(left.delay_us >= exact);
    }
}
