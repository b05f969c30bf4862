//! A request of the proxy's own to one node, over a connection of its own. Owns how long it may take, and how long its answer may be.

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{AUTHORIZATION, HOST, USER_AGENT},
    uri::PathAndQuery,
};
use http_body_util::{BodyExt, Empty, Limited};
use tokio::time::timeout;

use super::{Cluster, node::Node};

/// The longest answer, in bytes: a cluster of a thousand nodes names them all in less.
const LONGEST: usize = 8 << 20;
const NAME: &str = concat!("rerank-proxy/", env!("CARGO_PKG_VERSION"));

/// What is asked of a node, by GET.
pub(super) struct OwnRequest<'a> {
    pub(super) path: &'a PathAndQuery,
    /// The header of this name, where the proxy has one.
    pub(super) authorization: Option<&'a HeaderValue>,
    /// The time that all of it may take.
    pub(super) timeout: Duration,
}

impl Cluster {
    /// Asks a node. Fails with what a person may read.
    pub(super) async fn ask(&self, node: &Node, asked: OwnRequest<'_>) -> Result<(StatusCode, Bytes), String> {
        let at_most = asked.timeout;
        let late = |_| format!("no answer within {at_most:?}");
        timeout(at_most, self.answer_to(node, asked)).await.map_err(late)?.map_err(|error| error.to_string())
    }

    async fn answer_to(
        &self,
        node: &Node,
        asked: OwnRequest<'_>,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let request = Request::get(asked.path.clone()).header(HOST, &node.host).header(USER_AGENT, NAME);
        let request = match asked.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization),
            None => request,
        };
        let (head, ()) = request.body(())?.into_parts();
        let answer = self.connect(node).await?.exchange(&head, Empty::<Bytes>::new()).await?;
        let status = answer.status();
        Ok((status, Limited::new(answer.into_body(), LONGEST).collect().await?.to_bytes()))
    }
}
