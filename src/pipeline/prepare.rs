//! Preparation of a request, before its searches are sent: it is read, the cluster is asked what the request alone does
//! not say, its templates are rendered, its searches are planned. Owns that order.

use std::sync::Arc;

use bytes::Bytes;
use engines::{
    dialect::{Assembled, SearchRequest},
    json,
    plan::{NoPlan, SkipReason},
};
use futures_util::future::join_all;
use http::uri::PathAndQuery;

use super::{
    call::SearchCall,
    ending::Searched,
    fetch::{Fetched, fetch_original, fetch_own},
    halt::Halt,
    planning::{Plans, Rules, Run, plans, unruled},
    trace::Trace,
    whole_answer::response,
};
use crate::{
    config::rules,
    isolation::{computed, planned},
    memory::{Held, REQUEST_COPIES},
    request_options::RequestOptions,
    rerank_header::Report,
    state::Context,
};

/// The most templates that the cluster is asked to render at a time.
const RENDERED_AT_ONCE: usize = 8;

/// The multiple of its size with which a planned request is kept on the account, beside the request itself.
const PLANNED_COPIES: usize = 2;

/// A request that is ready to be sent.
pub(super) struct Prepared {
    /// Each of its searches.
    pub(super) searches: Plans,
    /// What the rule of each is called.
    pub(super) rules: Rules,
    /// The request to send, and the reader of its answer; `None` where no search is to be reranked.
    pub(super) assembled: Option<Assembled>,
    /// Headers that the client sent but that do not count.
    ignored: Vec<&'static str>,
    /// The bytes on the account for all of it.
    _room: Held,
    /// The same of what its templates were rendered to.
    _rendered: Option<Held>,
}

impl Prepared {
    /// True if some search is to be scored in the background.
    pub(super) fn any_shadowed(&self) -> bool {
        self.searches.iter().any(|search| matches!(search, Err(SkipReason::Shadow)))
    }

    /// What becomes of all searches where the planned ones come to nothing, for this reason.
    pub(super) fn all_skipped(&self, reason: SkipReason) -> Vec<Searched> {
        let skipped = |(search, rule): (&Result<_, SkipReason>, &Option<Arc<str>>)| {
            Searched::skipped(rule.as_ref(), *search.as_ref().err().unwrap_or(&reason))
        };
        self.searches.iter().zip(&self.rules).map(skipped).collect()
    }

    /// What became of the search at `place`.
    pub(super) fn searched(&self, place: usize, report: Report) -> Searched {
        Searched { rule: self.rules[place].clone(), report }
    }

    /// The model of the search at `place`.
    pub(super) fn model(&self, place: usize) -> &str {
        self.searches[place].as_ref().map_or("", |planned| &planned.model)
    }

    /// The headers that did not count for the search at `place`, or not as far as they went.
    pub(super) fn ignored(&self, place: usize) -> Vec<&'static str> {
        let clipped = self.searches[place].as_ref().map_or(&[][..], |planned| &planned.clipped);
        self.ignored.iter().chain(clipped).copied().collect()
    }

    /// True if the search at `place` is sent other than the client did.
    pub(super) fn is_widened(&self, place: usize) -> bool {
        self.searches[place].as_ref().is_ok_and(|planned| planned.plan.widened)
    }
}

/// A request that was read, and about how many bytes were read of it.
struct Read {
    request: Box<dyn SearchRequest>,
    size: usize,
}

/// Prepares a request.
pub(super) async fn prepare(
    context: &Context,
    call: &Arc<SearchCall>,
    options: &RequestOptions,
    run: Run,
    trace: &Trace,
) -> Result<Prepared, Halt> {
    let mut room = room_for_planning(context, call.body())?;
    let mut rendered = None;
    let (mut read, question) = read(context, call).await?;
    if call.form().is_template()
        && let Some((searches, rules)) = unruled(&context.snapshot, read.request.searches(), options, run)
    {
        // None of them is ours: nothing is worth rendering.
        let (ignored, room) = (options.ignored.clone(), room.split(0));
        return Ok(Prepared { searches, rules, assembled: None, ignored, _room: room, _rendered: None });
    }
    if let Some(path_and_query) = question {
        read = discovered(context, call, read, path_and_query).await?;
    }
    if call.form().is_template() {
        let (new, kept) = templates_rendered(context, call, read).await?;
        room = room_for_planning(context, new.request.body())?;
        (read, rendered) = (new, Some(kept));
    }
    if let [search] = read.request.searches()
        && search.indices.is_none()
    {
        read = located(context, call, read).await?;
    }
    trace.note(|noted| noted.indices = read.request.searches().first().and_then(|search| search.indices.clone()));
    let Read { request, size } = read;
    let (snapshot, own, multi) = (context.snapshot.clone(), options.clone(), call.form().is_multi());
    let plans = planned(size, move || plans(&snapshot, request, multi, &own, run)).await?;
    let (searches, rules, assembled) = plans.map_err(|cause| match cause {
        NoPlan::Skip(reason) => Halt::FallBack(reason),
        NoPlan::Refuse(failure) => Halt::Failed(failure),
    })?;
    // What is sent, and the plans, which say what a body says in other words.
    let room = room.split(PLANNED_COPIES * size);
    Ok(Prepared { searches, rules, assembled, ignored: options.ignored.clone(), _room: room, _rendered: rendered })
}

/// Puts on the account what planning a body takes: the body as it will be sent, and the tree of its JSON.
fn room_for_planning(context: &Context, body: &Bytes) -> Result<Held, SkipReason> {
    Ok(context.process.memory.hold(body.len() * (REQUEST_COPIES - 1) + json::size_of_tree(body))?)
}

/// Reads a request, and says what has to be asked first.
async fn read(context: &Context, call: &Arc<SearchCall>) -> Result<(Read, Option<PathAndQuery>), SkipReason> {
    let (dialect, own, size) = (context.dialect().clone(), call.clone(), call.size());
    let step = move || {
        let request = dialect.read(own.as_parts(), own.route())?;
        let question = request.discovery();
        Ok((Read { request, size }, question))
    };
    planned(size, step).await?
}

/// The request, once the cluster has been asked what it alone does not say.
async fn discovered(
    context: &Context,
    call: &SearchCall,
    read: Read,
    path_and_query: PathAndQuery,
) -> Result<Read, SkipReason> {
    let said = fetch_own(context, call.get(path_and_query)).await.map_or_else(|_| Bytes::new(), |said| said.answer);
    let Read { mut request, size } = read;
    let step = move || {
        request.discovered(&said);
        Read { request, size }
    };
    planned(size, step).await
}

/// The request with its templates rendered by the cluster, and what its new body is on the account with.
async fn templates_rendered(context: &Context, call: &SearchCall, read: Read) -> Result<(Read, Held), Halt> {
    let Read { request, size } = read;
    let step = move || {
        let asked = request.renderings()?;
        Ok::<_, SkipReason>((request, asked))
    };
    let (request, asked) = planned(size, step).await??;
    let mut answers: Vec<Bytes> = Vec::new();
    for some in asked.chunks(RENDERED_AT_ONCE) {
        let asked = some.iter().map(|(path, body)| fetch_own(context, call.with_body(path.clone(), body.clone())));
        for answer in join_all(asked).await {
            answers.push(answer?.answer);
        }
    }
    // A few bytes may render to many: what comes out is a search's body like any other.
    let size: usize = answers.iter().map(Bytes::len).sum();
    if size > context.snapshot.settings.limits.request_body {
        return Err(SkipReason::TooLarge.into());
    }
    let room =
        context.process.memory.hold(size + answers.iter().map(|answer| json::size_of_tree(answer)).sum::<usize>());
    let mut room = room.map_err(SkipReason::from)?;
    let request = planned(call.size().max(size), move || request.rendered(&answers)).await??;
    let (kept, size) = (room.split(request.body().len()), request.body().len());
    Ok((Read { request, size }, kept))
}

/// The request, once it is known which indices its search goes over, which names a point in time that was not opened through
/// this process: the cluster is asked as the client asked, and its hits tell. Where no rule is for them, that answer is the
/// client's.
async fn located(context: &Context, call: &SearchCall, read: Read) -> Result<Read, Halt> {
    let Fetched { head, answer, mut room } = fetch_original(context, call).await?;
    let (Read { mut request, size }, hits) = (read, answer.clone());
    let step = move || {
        let indices = request.located(&hits);
        (request, indices)
    };
    let (request, indices) = computed(answer.len(), step).await?;
    match indices.filter(|indices| rules::find(&context.snapshot.settings.rules, indices).is_some()) {
        Some(_) => Ok(Read { request, size }),
        None => {
            let response = response(call, head, answer, &mut room).await;
            Err(Halt::Answered(Box::new(response), SkipReason::NoRule))
        }
    }
}
