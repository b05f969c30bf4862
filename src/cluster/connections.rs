//! Connections to the cluster: those that one serving thread keeps for later requests, and what happens to a request on its
//! way there and to a response on its way back: nothing, but for the headers that end at this hop.

use std::{rc::Rc, sync::Arc};

use http::{HeaderValue, Request, Response, StatusCode, Version, header::HOST};
use hyper::body::Incoming;

use super::{
    Cluster, Node,
    answer::Answer,
    body::Body,
    error::UpstreamError,
    headers,
    kept::Kept,
    link::{Link, Unanswered},
    request::{Attempts, Outgoing},
};

/// The connections of one serving thread to the nodes of a cluster. All dialects share them.
#[derive(Debug)]
pub struct Connections {
    cluster: Arc<Cluster>,
    kept: Rc<Kept<Body>>,
}

impl Connections {
    /// No connection is made yet. At most `idle` of them are kept for later requests.
    pub fn new(cluster: Arc<Cluster>, idle: usize) -> Self {
        Self { cluster, kept: Rc::new(Kept::new(idle)) }
    }

    /// The cluster at their other end.
    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Sends a request and answers with the response as soon as its head is there; its body streams.
    pub async fn send(&self, outgoing: Outgoing) -> Result<Response<Answer<Body>>, UpstreamError> {
        let Outgoing { method, path_and_query, mut headers, client_authority, body, attempts } = outgoing;
        headers::strip_hop_by_hop(&mut headers);
        let node = self.cluster.node();
        if !self.cluster.preserve_host {
            headers.insert(HOST, node.host.clone());
        } else if !headers.contains_key(HOST) {
            let named = client_authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
            headers.insert(HOST, named.unwrap_or_else(|| node.host.clone()));
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path_and_query.into();
        *request.headers_mut() = headers;
        let mut response = match attempts {
            Attempts::Last => self.over_a_new_one(node, request).await?,
            Attempts::One | Attempts::Two => self.over_a_kept_one(node, request).await?,
        };
        let protocol = |what| UpstreamError::Protocol { authority: node.authority.clone(), what };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(protocol("another protocol"));
        }
        if headers::has_foreign_coding(response.headers()) {
            return Err(protocol("a transfer coding besides `chunked`"));
        }
        headers::strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }

    /// Over the connection that was used last, so that the others grow old; over a new one where none is kept. One that turns
    /// out to be closed before any of the request was written to it costs nothing but the look at the next.
    async fn over_a_kept_one(
        &self,
        node: &Node,
        mut request: Request<Body>,
    ) -> Result<Response<Answer<Body>>, UpstreamError> {
        while let Some(link) = self.kept.take() {
            match link.exchange(request).await {
                Ok(answered) => return Ok(self.response(answered)),
                Err(Unanswered::Unsent(unsent)) => request = *unsent,
                Err(Unanswered::Broken(source)) => return Err(UpstreamError::of(source, &node.authority)),
            }
        }
        self.over_a_new_one(node, request).await
    }

    async fn over_a_new_one(
        &self,
        node: &Node,
        request: Request<Body>,
    ) -> Result<Response<Answer<Body>>, UpstreamError> {
        let link = Link::connect(&self.cluster.connector, node).await?;
        match link.exchange(request).await {
            Ok(answered) => Ok(self.response(answered)),
            Err(Unanswered::Unsent(_)) => Err(UpstreamError::Unsent { authority: node.authority.clone() }),
            Err(Unanswered::Broken(source)) => Err(UpstreamError::of(source, &node.authority)),
        }
    }

    fn response(&self, (response, link): (Response<Incoming>, Link<Body>)) -> Response<Answer<Body>> {
        response.map(|body| Answer::new(body, link, self.kept.clone()))
    }
}
