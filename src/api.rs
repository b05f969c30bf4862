//! What the proxy answers itself, under `/_rerank/`: health and metrics. No search engine has such a path.

use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use crate::{app::App, upstream::body::Body};

/// The first part of every path that is ours.
const PREFIX: &str = "/_rerank/";

/// Whether the path is one of ours.
pub fn owns(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// Answers a request to one of our paths.
pub async fn handle(app: &App, request: Request<Incoming>) -> Response<Body> {
    answer(app, request.method(), request.uri().path())
}

/// Answers a request on a listener of our own.
pub async fn handle_at_root(app: Arc<App>, request: Request<Incoming>) -> Response<Body> {
    answer(&app, request.method(), &format!("/_rerank{}", request.uri().path()))
}

fn answer(app: &App, method: &Method, path: &str) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let reason = format!("{method} is not allowed here; use GET");
        return failure(StatusCode::METHOD_NOT_ALLOWED, &reason);
    }
    match &path[PREFIX.len()..] {
        "health" => health(app),
        "metrics" => {
            respond(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", app.metrics.encode())
        }
        _ => failure(
            StatusCode::NOT_FOUND,
            &format!("there is no {path}; there are /_rerank/health and /_rerank/metrics"),
        ),
    }
}

/// Always 200 while the proxy forwards: a model that is still loading is no reason to take searches away from it.
fn health(app: &App) -> Response<Body> {
    // A cascade is as ready as its models.
    let mut names: Vec<&String> = app.scorers.keys().filter(|name| !app.config.cascades.contains_key(*name)).collect();
    names.sort();
    let mut ready = true;
    let (mut models, mut devices) = (Map::new(), Map::new());
    for name in names {
        let state = app.scorers[name].ready();
        ready &= state.is_ok();
        models.insert(name.clone(), state.map_or_else(Value::String, |()| Value::String("ready".to_owned())));
        // What it was loaded on before is of no interest where it is not there now.
        let device = app.scorers[name].device().filter(|_| models[name] == "ready");
        devices.extend(device.map(|device| (name.clone(), Value::String(device))));
    }
    let status = if ready { "ready" } else { "forwarding only" };
    let body = json!({"status": status, "version": env!("CARGO_PKG_VERSION"), "models": models, "devices": devices});
    respond(StatusCode::OK, "application/json", format!("{body}\n"))
}

fn failure(status: StatusCode, reason: &str) -> Response<Body> {
    respond(status, "application/json", format!("{}\n", json!({"error": reason, "status": status.as_u16()})))
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
