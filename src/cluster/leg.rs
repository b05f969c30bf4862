//! The way of one serving thread to the nodes. Owns which node the next request goes to, and that a request counts at its node
//! until its answer has come to its end.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use arc_swap::{ArcSwap, Cache};
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
pub(super) struct Legs {
    /// How many connections all of them keep together.
    idle: usize,
    latest: RefCell<Cache<Arc<ArcSwap<Nodes>>, Arc<Nodes>>>,
    current: RefCell<Current>,
}

/// The legs to these nodes.
struct Current {
    nodes: Arc<Nodes>,
    legs: Vec<Rc<Leg>>,
}

/// The nodes that one request was sent to in vain.
#[derive(Debug, Default)]
pub struct Tried(Vec<Rc<Leg>>);

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
        let current = Current { nodes: nodes.load_full(), legs: Vec::new() };
        let legs = Self { idle, latest: RefCell::new(Cache::new(nodes.clone())), current: RefCell::new(current) };
        legs.current.borrow_mut().make(idle);
        legs
    }

    /// A request for the node that suits it best, among those that were not tried. Costs one node nothing.
    pub(super) fn choose(&self, tried: &Tried) -> InFlight {
        self.refresh();
        let current = self.current.borrow();
        match &current.legs[..] {
            [only] => InFlight { leg: only.clone(), is_counted: false, born: 0 },
            legs => InFlight::counted(chosen(legs, tried).clone()),
        }
    }

    /// Whether there is a node that was not tried.
    pub(super) fn has_another(&self, tried: &Tried) -> bool {
        self.current.borrow().legs.iter().any(|leg| !tried.has(leg))
    }

    /// Follows the cluster where its nodes are others now. The legs to those that stay, stay.
    fn refresh(&self) {
        let mut latest = self.latest.borrow_mut();
        let nodes = latest.load();
        let mut current = self.current.borrow_mut();
        if !Arc::ptr_eq(nodes, &current.nodes) {
            current.nodes = nodes.clone();
            current.make(self.idle);
        }
    }
}

impl Current {
    fn make(&mut self, idle: usize) {
        let idle = idle.div_ceil(self.nodes.len().max(1));
        let leg = |node: &Arc<Node>| match self.legs.iter().find(|leg| Arc::ptr_eq(&leg.node, node)) {
            Some(leg) => leg.clone(),
            None => Rc::new(Leg { node: node.clone(), kept: Rc::new(Kept::new(idle)) }),
        };
        self.legs = self.nodes.iter().map(leg).collect();
    }
}

impl Tried {
    pub(super) fn add(&mut self, leg: Rc<Leg>) {
        self.0.push(leg);
    }

    fn has(&self, leg: &Rc<Leg>) -> bool {
        self.0.iter().any(|tried| Arc::ptr_eq(&tried.node, &leg.node))
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
    let takes_part = |leg: &&Rc<Leg>| leg.node.standing.share() > 0;
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
