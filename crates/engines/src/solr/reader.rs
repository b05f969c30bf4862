//! A request that was sent to Solr, as far as its answer is read by it.

use super::{answer, planned::Planned};
use crate::{
    candidates::{Candidates, Unreadable},
    dialect::AnswerReader,
    plan::{Explain, Plan},
};

/// A request that was sent.
#[derive(Debug)]
pub(super) struct SolrReader {
    pub(super) planned: Option<Planned>,
}

impl AnswerReader for SolrReader {
    fn plan(&self, _place: usize) -> Option<&Plan> {
        self.planned.as_ref().map(|planned| &planned.plan)
    }

    fn candidates(&self, _place: usize, answer: &[u8], explain: Explain) -> Result<Candidates, Unreadable> {
        let planned = self.planned.as_ref().ok_or(Unreadable::Malformed)?;
        answer::candidates(answer, planned, explain)
    }
}
