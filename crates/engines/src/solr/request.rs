//! One request to Solr, read once. Owns which collections it searches, what its handler is asked first, and how what is sent
//! comes of its plan. Pure, but for what [`Handlers`] remembers.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;

use super::{asked::Asked, conditions, forward::forward, handlers::Handlers, planned::Planned, reader::SolrReader};
use crate::{
    dialect::{Assembled, SearchRequest},
    plan::{NoPlan, Plan, SkipReason, Terms},
    request::{Forward, RequestParts, Search, SearchRoute},
};

/// A request, read.
#[derive(Debug)]
pub(crate) struct SolrRequest {
    handlers: Arc<Handlers>,
    path_and_query: PathAndQuery,
    body: Bytes,
    asked: Asked,
    search: [Search; 1],
    planned: Option<Planned>,
}

impl SolrRequest {
    /// Reads a request.
    pub(crate) fn read(
        request: RequestParts<'_>,
        route: &SearchRoute,
        handlers: &Arc<Handlers>,
    ) -> Result<Box<Self>, SkipReason> {
        let asked = Asked::read(request)?;
        // The collections of this parameter are searched in the place of the one in the path.
        let named = asked.sent.first("collection").filter(|named| !named.is_empty());
        let search = [Search::of(named.unwrap_or(&route.indices))];
        let (path_and_query, body) = (request.path_and_query.clone(), request.body.clone());
        Ok(Box::new(Self { handlers: handlers.clone(), path_and_query, body, asked, search, planned: None }))
    }

    /// The plan of its search, if it has one.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn planned(&self) -> Option<&Planned> {
        self.planned.as_ref()
    }
}

impl SearchRequest for SolrRequest {
    fn searches(&self) -> &[Search] {
        &self.search
    }

    fn body(&self) -> &Bytes {
        &self.body
    }

    fn discovery(&self) -> Option<PathAndQuery> {
        conditions::speaks_json(&self.asked).ok()?;
        self.handlers.question(self.path_and_query.path(), &self.asked.sent)
    }

    fn discovered(&mut self, answer: &[u8]) {
        self.handlers.learn(self.path_and_query.path(), &self.asked.sent, answer);
    }

    /// No plan comes of a request to a handler that has not told its defaults: nobody knows what the client asked for.
    fn plan(&mut self, _place: usize, terms: &Terms<'_>) -> Result<Plan, NoPlan> {
        self.asked.look_again();
        conditions::speaks_json(&self.asked)?;
        let defaults = self.handlers.defaults(self.path_and_query.path(), &self.asked.sent);
        self.asked.fill_in(defaults.ok_or(SkipReason::UpstreamError)?);
        let planned = conditions::plan(&self.asked, terms)?;
        let plan = planned.plan.clone();
        self.planned = Some(planned);
        Ok(plan)
    }

    fn withdraw(&mut self, _place: usize) {
        self.planned = None;
    }

    fn assemble(self: Box<Self>) -> Result<Assembled, SkipReason> {
        let path_and_query = match &self.planned {
            Some(planned) => forward(&self.path_and_query, &self.asked, planned)?,
            None => self.path_and_query,
        };
        let reader = Arc::new(SolrReader { planned: self.planned });
        Ok(Assembled { forward: Forward { path_and_query, body: None }, reader })
    }
}
