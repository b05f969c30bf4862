//! One request to Elasticsearch or OpenSearch that holds searches, read once. Owns which searches it carries, in each of its
//! forms, and how what is sent is put together from their plans. Pure, but for what [`Remembered`] remembers.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use http::uri::PathAndQuery;

use super::{
    answer,
    conditions::{self, Said},
    document::Document,
    filter_path::FilterPath,
    media_types::speaks_json,
    multi::{self, Lines},
    planned::Planned,
    reader::ElasticReader,
    remembered::Remembered,
    template,
    url::{self, Parameters},
};
use crate::{
    caps::{MAX_FILTER, MAX_FILTER_KEYS, MAX_SEARCHES, MAX_SHARED_INDICES},
    dialect::{Assembled, SearchRequest},
    plan::{NoPlan, Plan, SkipReason, Terms},
    request::{Forward, RequestParts, Search, SearchForm, SearchRoute},
};

/// A request, read.
#[derive(Debug)]
pub(crate) struct ElasticRequest {
    remembered: Arc<Remembered>,
    route: SearchRoute,
    pub(crate) path_and_query: PathAndQuery,
    pub(crate) body: Bytes,
    said: Said,
    /// True if the client sent templates, of which this is what they stand for.
    is_rendered: bool,
    /// The places of the searches in the body, where they are several.
    lines: Vec<Lines>,
    searches: Vec<Search>,
    /// The bodies that had to be parsed to know what they search, by the places of their searches.
    documents: BTreeMap<usize, Result<Document, SkipReason>>,
    plans: Vec<Option<Planned>>,
}

impl ElasticRequest {
    /// Reads a request.
    pub(crate) fn read(
        request: RequestParts<'_>,
        route: &SearchRoute,
        remembered: &Arc<Remembered>,
    ) -> Result<Box<Self>, SkipReason> {
        let parameters = Parameters::of(request.path_and_query.query());
        let mut read = Self {
            remembered: remembered.clone(),
            route: route.clone(),
            path_and_query: request.path_and_query.clone(),
            body: request.body.clone(),
            said: Said {
                multi: route.form.is_multi(),
                speaks_json: speaks_json(request.headers, &parameters),
                parameters,
            },
            is_rendered: false,
            lines: Vec::new(),
            searches: Vec::new(),
            documents: BTreeMap::new(),
            plans: Vec::new(),
        };
        read.take_apart()?;
        Ok(Box::new(read))
    }

    /// Finds the searches.
    fn take_apart(&mut self) -> Result<(), SkipReason> {
        if self.route.form.is_multi() {
            self.lines = multi::lines(&self.body).ok_or(SkipReason::Malformed)?;
            if self.lines.len() > MAX_SEARCHES || self.route.indices.len() > MAX_SHARED_INDICES {
                return Err(SkipReason::TooComplex);
            }
        }
        let count = self.lines.len().max(1);
        self.searches.reserve_exact(count);
        self.plans.reserve_exact(count);
        for place in 0..count {
            let indices = match self.lines.get(place) {
                Some(lines) => multi::indices(&self.body[lines.header.clone()], &self.route.indices),
                None => Some(self.route.indices.clone()),
            };
            self.add_search(place, indices.ok_or(SkipReason::Malformed)?);
        }
        Ok(())
    }

    /// A search over `indices`, or over the point in time that its body names instead. A body that cannot be read names
    /// none; the plan will say what it thinks of it.
    fn add_search(&mut self, place: usize, indices: String) {
        // Only a search that names no index elsewhere may name a point in time.
        let document = indices.is_empty().then(|| Document::read(&self.body_of(place)));
        let point_in_time = match &document {
            Some(Ok(document)) => document.point_in_time().map(str::to_owned),
            _ => None,
        };
        let indices = match &point_in_time {
            Some(id) => self.remembered.points_in_time.indices(id),
            None => Some(indices),
        };
        self.searches.push(Search { indices, point_in_time });
        if let Some(document) = document {
            self.documents.insert(place, document);
        }
        self.plans.push(None);
    }

    /// The body of the search at `place`.
    pub(crate) fn body_of(&self, place: usize) -> Bytes {
        match self.lines.get(place) {
            Some(lines) => self.body.slice(lines.body.clone()),
            None => self.body.clone(),
        }
    }

    /// The plan of the search at `place`, if it has one.
    pub(crate) fn planned(&self, place: usize) -> Option<&Planned> {
        self.plans.get(place)?.as_ref()
    }

    /// The request with its templates rendered.
    pub(crate) fn with_rendered(self, answers: &[Bytes]) -> Result<Box<Self>, SkipReason> {
        let (path_and_query, body) =
            template::rendered(self.route.form, &self.path_and_query, &self.body, &self.lines, answers)?;
        let parameters = Parameters::of(path_and_query.query());
        let mut rendered = Self {
            said: Said { parameters, ..self.said },
            route: SearchRoute { form: self.route.form.rendered(), ..self.route },
            path_and_query,
            body,
            is_rendered: true,
            lines: Vec::new(),
            searches: Vec::new(),
            documents: BTreeMap::new(),
            plans: Vec::new(),
            ..self
        };
        rendered.take_apart()?;
        Ok(Box::new(rendered))
    }

    /// The request's `filter_path`, where it may hide what is needed of the answer: then it is ours to apply.
    fn hiding_filter(&self, single: Option<&Planned>) -> Result<Option<String>, SkipReason> {
        // Entries that a filter leaves nothing of are missing from the list of answers.
        let needed = if single.is_some() { &["hits", "hits"][..] } else { &["responses"] };
        let Some(filter) = self.said.parameters.get("filter_path") else { return Ok(None) };
        let paths = FilterPath::parse(filter);
        if filter.is_empty() || paths.keeps_whole(needed) {
            return Ok(None);
        }
        if filter.len() > MAX_FILTER || paths.keys() > MAX_FILTER_KEYS {
            return Err(SkipReason::TooComplex);
        }
        Ok(Some(filter.to_owned()))
    }

    /// The body to send; `None` for the client's own.
    fn new_body(&self, single: Option<&Planned>) -> Option<Bytes> {
        let body = match single {
            Some(planned) => planned.body.clone(),
            None if self.plans.iter().flatten().all(|planned| planned.body.is_none()) => None,
            None => {
                let body = |place: usize| self.planned(place)?.body.as_deref();
                Some(multi::replaced(&self.body, &self.lines, body).into())
            }
        };
        body.or_else(|| self.is_rendered.then(|| self.body.clone()))
    }

    /// The indices of the point in time that the only search names; the answer may give it another id.
    fn indices_of_point_in_time(&self) -> Option<String> {
        match &self.searches[..] {
            [Search { indices, point_in_time: Some(_) }] => indices.clone(),
            _ => None,
        }
    }
}

impl SearchRequest for ElasticRequest {
    fn searches(&self) -> &[Search] {
        &self.searches
    }

    fn body(&self) -> &Bytes {
        &self.body
    }

    /// The question for the engine, where the answer to a template depends on it. Of several templates, each is
    /// answered like a search among several.
    fn discovery(&self) -> Option<PathAndQuery> {
        let depends = self.route.form == SearchForm::Template;
        (depends && self.remembered.engine.is_to_be_asked()).then(|| PathAndQuery::from_static("/"))
    }

    fn discovered(&mut self, answer: &[u8]) {
        self.remembered.engine.learn(answer);
    }

    fn renderings(&self) -> Result<Vec<(PathAndQuery, Bytes)>, SkipReason> {
        template::renderings(self.route.form, &self.body, &self.lines)
    }

    fn rendered(self: Box<Self>, answers: &[Bytes]) -> Result<Box<dyn SearchRequest>, SkipReason> {
        Ok(self.with_rendered(answers)?)
    }

    fn located(&mut self, answer: &[u8]) -> Option<String> {
        let indices = answer::indices_of_hits(answer)?;
        let [search] = &mut self.searches[..] else { return None };
        if let Some(id) = &search.point_in_time {
            self.remembered.points_in_time.remember(id, &indices);
        }
        search.indices = Some(indices.clone());
        Some(indices)
    }

    fn plan(&mut self, place: usize, terms: &Terms<'_>) -> Result<Plan, NoPlan> {
        let parsed = self.documents.remove(&place);
        let document = || parsed.unwrap_or_else(|| Document::read(&self.body_of(place)));
        let planned = conditions::plan(&self.said, document, terms)?;
        let plan = planned.plan.clone();
        self.plans[place] = Some(planned);
        Ok(plan)
    }

    fn withdraw(&mut self, place: usize) {
        self.plans[place] = None;
    }

    fn assemble(self: Box<Self>) -> Result<Assembled, SkipReason> {
        let multi = self.route.form.is_multi();
        let single = self.planned(0).filter(|_| !multi);
        let filter = self.hiding_filter(single)?;
        let mut names = Vec::new();
        let mut added = String::new();
        if filter.is_some() {
            names.push("filter_path");
        }
        // Parameters in the URL win over those in the body, so a body that is fine otherwise stays as it is.
        if let Some(planned) = single.filter(|planned| planned.plan.changes_page()) {
            names.extend(["from", "size"]);
            added = format!("from=0&size={}", planned.plan.hits);
        }
        let path_and_query = match names.is_empty() {
            true => self.path_and_query.clone(),
            false => url::edited(&self.path_and_query, &names, &added).map_err(|_| SkipReason::Malformed)?,
        };
        let forward = Forward { path_and_query, body: self.new_body(single) };
        let reader = ElasticReader {
            point_in_time_of: self.indices_of_point_in_time(),
            adds_status: self.is_rendered && !multi,
            remembered: self.remembered,
            multi,
            path_and_query: self.path_and_query,
            body: self.body,
            lines: self.lines,
            plans: self.plans,
            filter,
        };
        Ok(Assembled { forward, reader: Arc::new(reader) })
    }
}
