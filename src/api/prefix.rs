//! What every path of ours begins with, where the cluster's are as well.

/// The beginning of our paths.
pub(super) const PREFIX: &str = "/_rerank";

/// Whether the path is one of ours in front of a cluster.
pub(super) fn owns(path: &str) -> bool {
    path.strip_prefix(PREFIX).is_some_and(|rest| rest.starts_with('/'))
}
