//! Honest numbers from repeats that differ.

/// The middle of some numbers; of an even count, the mean of the two.
pub fn median(of: &[f64]) -> Option<f64> {
    let mut sorted = of.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (count, half) = (sorted.len(), sorted.len() / 2);
    match count {
        0 => None,
        _ if count % 2 == 1 => Some(sorted[half]),
        _ => Some(f64::midpoint(sorted[half - 1], sorted[half])),
    }
}

/// The median of how far numbers are from their median: outliers do not move it.
pub fn spread(of: &[f64]) -> f64 {
    let Some(middle) = median(of) else { return 0.0 };
    let off: Vec<f64> = of.iter().map(|x| (x - middle).abs()).collect();
    median(&off).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_neither() {
        let times = [10.0, 11.0, 9.0, 10.0, 900.0];
        assert_eq!(median(&times), Some(10.0));
        assert_eq!(spread(&times), 1.0);
        assert_eq!(median(&[1.0, 2.0]), Some(1.5));
        assert_eq!(median(&[]), None);
    }
}
