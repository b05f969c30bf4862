//! The surroundings of one request: the state of the process, and the dialect that its path speaks.

use std::sync::Arc;

use engines::dialect::Dialect;

use crate::app::App;

/// The surroundings of one request.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) app: Arc<App>,
    /// The dialect of its path.
    pub(crate) dialect: Arc<dyn Dialect>,
}

impl Context {
    /// The surroundings of a request to `path`.
    pub(crate) fn of(app: Arc<App>, path: &str) -> Self {
        let dialect = app.dialects.for_path(path).clone();
        Self { app, dialect }
    }
}
