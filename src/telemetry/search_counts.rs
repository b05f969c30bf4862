//! The figures of one search that was scored, for the metrics and for `X-Rerank`.

use scoring::Scored;

/// The figures of one search that was scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Hits within the window.
    pub window: usize,
    /// Hits with a score.
    pub scored: usize,
    /// Hits whose score came out of the cache.
    pub cached: usize,
    /// Hits that were not even queued, for want of time.
    pub shed: usize,
    /// True where the budget cut scoring off.
    pub budget_hit: bool,
    /// Hits whose passage the model did not read to its end.
    pub truncated: usize,
    /// Hits that are known to have the probability which was asked for; `None` where none was.
    pub good: Option<usize>,
    /// How far the page is from the cluster's; `None` where there is no new page.
    pub shift: Option<Shift>,
}

/// How far the page that a client got is from the one that the cluster would have given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Hits on the page.
    pub shown: usize,
    /// Those of them that the cluster's page has as well.
    pub kept: usize,
    /// Places that they moved, in all.
    pub places: usize,
}

impl Shift {
    /// Of a page that begins at rank `from` and shows these hits, each named by its rank in the cluster's order.
    pub(crate) fn of(page: impl ExactSizeIterator<Item = usize>, from: usize) -> Self {
        let shown = page.len();
        let first = Self { shown, kept: 0, places: 0 };
        page.zip(from..).fold(first, |shift, (before, now)| Self {
            kept: shift.kept + usize::from((from..from + shown).contains(&before)),
            places: shift.places + before.abs_diff(now),
            ..shift
        })
    }

    /// The part of the page that the cluster's has as well, 0 to 1; `None` for an empty page.
    pub(crate) fn overlap(self) -> Option<f64> {
        (self.shown > 0).then(|| self.kept as f64 / self.shown as f64)
    }

    /// The places that a hit of the page moved on average; `None` for an empty page.
    pub(crate) fn displacement(self) -> Option<f64> {
        (self.shown > 0).then(|| self.places as f64 / self.shown as f64)
    }
}

impl Counts {
    /// The figures of a search's scores, one entry per hit.
    pub fn of(scored: &Scored) -> Self {
        Self {
            window: scored.scores.len(),
            scored: scored.scores.iter().flatten().count(),
            cached: scored.cached(),
            shed: scored.shed,
            budget_hit: scored.budget_hit,
            truncated: scored.truncated(),
            good: None,
            shift: None,
        }
    }

    /// The same, where a hit is good that has this probability at least.
    #[must_use]
    pub fn with_good(self, scored: &Scored, least: Option<f32>) -> Self {
        let count = |least| {
            let probabilities = scored.scores.iter().flatten().filter_map(|score| score.probability);
            probabilities.filter(|probability| *probability >= least).count()
        };
        Self { good: least.map(count), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_compared_with_the_cluster_s_own() {
        // The second page of two: hit 3 stays, hit 0 comes from the first page, four ranks up.
        let shift = Shift::of([3, 0].into_iter(), 2);
        assert_eq!(shift, Shift { shown: 2, kept: 1, places: 1 + 3 });
        assert_eq!((shift.overlap(), shift.displacement()), (Some(0.5), Some(2.0)));
        let same = Shift::of([0, 1, 2].into_iter(), 0);
        assert_eq!((same.overlap(), same.displacement()), (Some(1.0), Some(0.0)));
        assert_eq!(Shift::of([].into_iter(), 0).overlap(), None);
    }
}
