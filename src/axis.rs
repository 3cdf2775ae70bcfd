//! Round numbers along an axis.

/// Ticks of an axis up to `end`: round numbers, at most `most` of them beside 0.
pub fn ticks(end: f64, most: usize) -> Vec<f64> {
    if end.is_nan() || end <= 0.0 || end.is_infinite() {
        return vec![0.0];
    }
    let least = end / most as f64;
    let power = 10f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|m| m * power);
    let step = steps.into_iter().find(|s| *s >= least).unwrap_or(end);
    (0..=most)
        .map(|i| i as f64 * step)
        .take_while(|t| *t <= end * 1.000_001)
        .collect()
}

/// A tick as text, with as many digits as its neighbours need.
pub fn tick(t: f64) -> String {
    let text = format!("{t:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_end_within() {
        assert_eq!(ticks(10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        let texts: Vec<String> = ticks(0.7, 4).into_iter().map(tick).collect();
        assert_eq!(texts, ["0", "0.2", "0.4", "0.6"]);
        assert_eq!(ticks(0.0, 4), [0.0]);
        assert!(ticks(123_456.0, 6).len() <= 7);
    }
}
