//! A row of small bars.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `width` values as bars; the highest of them is the highest bar.
pub(crate) fn sparkline(values: &[f64], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    let top = shown.iter().copied().fold(0.0, f64::max);
    let bar = |value: &f64| {
        let step = if top > 0.0 { value.max(0.0) / top * (BARS.len() - 1) as f64 } else { 0.0 };
        BARS[(step.round() as usize).min(BARS.len() - 1)]
    };
    shown.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::sparkline;

    #[test]
    fn bars_are_relative_to_the_highest_shown() {
        assert_eq!(sparkline(&[100.0, 0.0, 1.0, 2.0], 3), "▁▅█");
        assert_eq!(sparkline(&[], 3), "");
        assert_eq!(sparkline(&[0.0, 0.0], 3), "▁▁");
        assert_eq!(sparkline(&[f64::NAN, 1.0], 3), "▁█");
    }
}
