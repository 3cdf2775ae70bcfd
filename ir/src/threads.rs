//! Independent questions on as many threads as there are cores.

use crate::spans;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers in the order of the questions, which are taken up in that order. What the threads did are parts of the span that is
/// open, side by side; with one question or one core there are no threads.
pub fn side_by_side<Q: Sync, A: Send>(questions: &[Q], answer: impl Fn(&Q) -> A + Sync) -> Vec<A> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min(questions.len());
    if threads <= 1 {
        return questions.iter().map(answer).collect();
    }
    spans::side_by_side();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = vec![];
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            match questions.get(i) {
                Some(q) => found.push((i, answer(q))),
                None => return found,
            }
        }
    };
    let mut answers: Vec<(usize, A)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=threads)
            .map(|n| scope.spawn(move || spans::recorded(&format!("thread {n}"), work)))
            .collect();
        let joined = threads.into_iter().flat_map(|thread| {
            let joined = thread.join();
            let (found, took) = joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            spans::attach(took);
            found
        });
        joined.collect()
    });
    answers.sort_by_key(|(i, _)| *i);
    answers.into_iter().map(|(_, a)| a).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_the_order_of_the_questions() {
        let questions: Vec<usize> = (0..100).collect();
        // The first take longest.
        let answer = |q: &usize| (0..(100 - q) * 1000).fold(*q, |a, _| std::hint::black_box(a));
        assert_eq!(side_by_side(&questions, answer), questions);
        assert_eq!(side_by_side(&[], answer), [0; 0]);
    }
}
