//! The way of one serving thread to the nodes. Owns which node the next request goes to, and that a request counts at its node
//! until its answer has come to its end.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use arc_swap::{ArcSwap, Cache};
use http::HeaderValue;
use http1::Connection;
use net::stream::Stream;

use super::{kept::Kept, node::Node, standing::WHOLE};

/// The nodes of a cluster, as they are known now. At least one.
pub(super) type Nodes = Vec<Arc<Node>>;

/// A node, and the connections to it that this thread keeps.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) node: Arc<Node>,
    pub(super) kept: Rc<Kept>,
}

/// The legs of one thread: one for each node.
pub(super) struct Legs(RefCell<Known>);

/// The nodes as this thread knows them.
struct Known {
    latest: Cache<Arc<ArcSwap<Nodes>>, Arc<Nodes>>,
    /// Those to which the legs are.
    nodes: Arc<Nodes>,
    legs: Vec<Rc<Leg>>,
    /// How many connections all legs keep together.
    idle: usize,
}

/// The nodes that a request was sent to, or was to be. Most are sent to one.
#[derive(Debug, Default)]
pub struct Tried {
    first: Option<Rc<Leg>>,
    others: Vec<Rc<Leg>>,
}

/// A request in flight. It counts at its node until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) leg: Rc<Leg>,
    /// There are several nodes, so that it matters how many requests each of them has.
    pub(super) is_counted: bool,
    /// When its connection was made, in the sweeps of those that are kept.
    pub(super) born: u32,
}

impl Legs {
    pub(super) fn new(nodes: &Arc<ArcSwap<Nodes>>, idle: usize) -> Self {
        let mut known = Known { latest: Cache::new(nodes.clone()), nodes: nodes.load_full(), legs: Vec::new(), idle };
        known.make_legs();
        Self(RefCell::new(known))
    }

    /// A request for the node that suits it best, among those that were not tried. Costs one node nothing.
    pub(super) fn choose(&self, tried: &Tried) -> InFlight {
        let mut known = self.0.borrow_mut();
        known.follow();
        match &known.legs[..] {
            [only] => InFlight { leg: only.clone(), is_counted: false, born: 0 },
            legs => InFlight::counted(chosen(legs, tried).clone()),
        }
    }

    /// Whether there is a node that was not tried.
    pub(super) fn has_another(&self, tried: &Tried) -> bool {
        self.0.borrow().legs.iter().any(|leg| !tried.has(leg))
    }

    /// Whether there is a node that was not tried and takes part.
    pub(super) fn has_a_better(&self, tried: &Tried) -> bool {
        self.0.borrow().legs.iter().any(|leg| !tried.has(leg) && leg.node.standing.takes_part())
    }

    /// The name of one of the nodes.
    pub(super) fn any_host(&self) -> Option<HeaderValue> {
        self.0.borrow().nodes.first().map(|node| node.host.clone())
    }
}

impl Known {
    /// Follows the cluster where its nodes are others now.
    fn follow(&mut self) {
        let nodes = self.latest.load();
        if !Arc::ptr_eq(nodes, &self.nodes) {
            self.nodes = nodes.clone();
            self.make_legs();
        }
    }

    /// Makes a leg to each node; those to nodes that stay, stay.
    fn make_legs(&mut self) {
        let idle = self.idle.div_ceil(self.nodes.len().max(1));
        let leg = |node: &Arc<Node>| match self.legs.iter().find(|leg| Arc::ptr_eq(&leg.node, node)) {
            Some(leg) => leg.clone(),
            None => Rc::new(Leg { node: node.clone(), kept: Rc::new(Kept::new(idle)) }),
        };
        self.legs = self.nodes.iter().map(leg).collect();
    }
}

impl Tried {
    pub(super) fn add(&mut self, leg: Rc<Leg>) {
        match self.first {
            None => self.first = Some(leg),
            Some(_) => self.others.push(leg),
        }
    }

    fn has(&self, leg: &Rc<Leg>) -> bool {
        self.first.iter().chain(&self.others).any(|tried| Arc::ptr_eq(&tried.node, &leg.node))
    }
}

impl InFlight {
    fn counted(leg: Rc<Leg>) -> Self {
        leg.node.pending.fetch_add(1, Relaxed);
        leg.node.requests.fetch_add(1, Relaxed);
        Self { leg, is_counted: true, born: 0 }
    }

    /// Ends it, and keeps its connection for a later request.
    pub(super) fn keep(self, connection: Connection<Stream>) {
        self.leg.kept.put(self.born, connection);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_counted {
            self.leg.node.pending.fetch_sub(1, Relaxed);
        }
    }
}

/// The better of two that chance picks: which of all has least to do is known too late by all who ask at once. Those that take part
/// go before those that are out, of which one is better than none.
fn chosen<'a>(legs: &'a [Rc<Leg>], tried: &Tried) -> &'a Rc<Leg> {
    let is_new = |leg: &&Rc<Leg>| !tried.has(leg);
    let takes_part = |leg: &&Rc<Leg>| leg.node.standing.takes_part();
    None.or_else(|| better_of_two(legs, |leg| is_new(leg) && takes_part(leg)))
        .or_else(|| better_of_two(legs, is_new))
        .or_else(|| better_of_two(legs, takes_part))
        .unwrap_or(&legs[fastrand::usize(..legs.len())])
}

/// The better of two of the legs for which this is true, picked by chance.
fn better_of_two(legs: &[Rc<Leg>], mut suits: impl FnMut(&&Rc<Leg>) -> bool) -> Option<&Rc<Leg>> {
    let count = legs.iter().filter(&mut suits).count();
    if count == 0 {
        return None;
    }
    let one = fastrand::usize(..count);
    let other = if count > 1 { (one + fastrand::usize(1..count)) % count } else { one };
    // What suits may have changed meanwhile.
    let one = legs.iter().filter(&mut suits).nth(one)?;
    let other = legs.iter().filter(&mut suits).nth(other)?;
    Some(if burden(other, one) < burden(one, other) { other } else { one })
}

/// The burden of the next request for a leg, to be compared with that of the other: its requests, by its share.
fn burden(leg: &Leg, other: &Leg) -> u64 {
    let share_of = |leg: &Leg| {
        u64::from(match leg.node.standing.share() {
            // Where none takes part, all do.
            0 => WHOLE,
            share => share,
        })
    };
    (u64::from(leg.node.pending.load(Relaxed)) + 1) * share_of(other)
}
