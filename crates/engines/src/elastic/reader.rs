//! A request that was sent to Elasticsearch or OpenSearch, as far as its answer is read by it. Owns what is done to the
//! answer as a whole: where its parts lie, `filter_path`, the status of a rendered template.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use http::uri::PathAndQuery;

use super::{
    answer,
    filter_path::FilterPath,
    multi::{self, Lines},
    planned::Planned,
    remembered::Remembered,
    template, url,
};
use crate::{
    candidates::{Candidates, Unreadable},
    dialect::AnswerReader,
    plan::{Explain, Plan, SkipReason},
    request::Forward,
};

/// A request that was sent.
#[derive(Debug)]
pub(super) struct ElasticReader {
    pub(super) remembered: Arc<Remembered>,
    /// True if it holds several searches.
    pub(super) multi: bool,
    /// The client's own path, but for rendered templates, and its body.
    pub(super) path_and_query: PathAndQuery,
    pub(super) body: Bytes,
    pub(super) lines: Vec<Lines>,
    /// The plan of each search.
    pub(super) plans: Vec<Option<Planned>>,
    /// The client's `filter_path`, where the cluster is not to apply it.
    pub(super) filter: Option<String>,
    /// True if the answer is to read as one to a template.
    pub(super) adds_status: bool,
    /// The indices of the point in time that its only search names.
    pub(super) point_in_time_of: Option<String>,
}

impl ElasticReader {
    fn planned(&self, place: usize) -> Option<&Planned> {
        self.plans.get(place)?.as_ref()
    }

    /// The answer to a search that was rendered from a template, as the engine answers the template itself. Where it is not
    /// known which engine it is (nobody who searches may ask), the answer is left as the search itself has it, which is all
    /// of it in Elasticsearch, and all but one member in OpenSearch.
    fn answer_to_template(&self, answer: Bytes) -> Bytes {
        if !self.remembered.engine.is_opensearch() {
            return answer;
        }
        let filter = url::parameter(self.path_and_query.query(), "filter_path").filter(|filter| !filter.is_empty());
        if filter.is_some_and(|filter| !FilterPath::parse(&filter).keeps_whole(&["status"])) {
            return answer;
        }
        template::with_status(&answer)
    }
}

impl AnswerReader for ElasticReader {
    fn plan(&self, place: usize) -> Option<&Plan> {
        self.planned(place).map(|planned| &planned.plan)
    }

    fn min_score(&self, place: usize) -> Option<f32> {
        self.planned(place)?.min_score
    }

    fn learn(&self, answer: &[u8]) {
        if let Some(indices) = &self.point_in_time_of
            && let Some(id) = answer::point_in_time(answer)
        {
            self.remembered.points_in_time.remember(&id, indices);
        }
    }

    fn answers(&self, answer: &[u8], count: usize) -> Result<Vec<Range<usize>>, SkipReason> {
        if self.multi {
            return answer::responses(answer, count);
        }
        Ok(std::iter::once(0..answer.len()).collect())
    }

    fn candidates(&self, place: usize, answer: &[u8], explain: Explain) -> Result<Candidates, Unreadable> {
        let planned = self.planned(place).ok_or(Unreadable::Malformed)?;
        answer::candidates(answer, planned, explain)
    }

    /// The answer comes unfiltered.
    fn only(&self, places: &[usize]) -> Result<Forward, SkipReason> {
        let path_and_query =
            url::edited(&self.path_and_query, &["filter_path"], "").map_err(|_| SkipReason::Malformed)?;
        let body = Some(multi::only(&self.body, &self.lines, places).into());
        Ok(Forward { path_and_query, body })
    }

    fn reshapes(&self) -> bool {
        self.adds_status || self.filter.is_some()
    }

    fn finish(&self, answer: Bytes) -> Bytes {
        let answer = if self.adds_status { self.answer_to_template(answer) } else { answer };
        match &self.filter {
            Some(filter) => FilterPath::parse(filter).apply(&answer).into(),
            None => answer,
        }
    }
}
