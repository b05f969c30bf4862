//! The calls of the rerank API that are in flight: of all clients together, and of each. Owns who counts as one client.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many of the bits of an IPv6 address tell clients apart: whoever has one address mostly has all that share them.
const IPV6_BITS: u32 = 64;

/// One client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    /// Whoever has the key with this digest.
    Key(Vec<u8>),
    /// Whoever calls from this address.
    Address(IpAddr),
}

impl Caller {
    pub(super) fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> IPV6_BITS << IPV6_BITS).into(),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

/// The places for calls.
#[derive(Debug)]
pub struct Calls {
    places: Arc<Semaphore>,
    /// How many calls of each client are in flight; who has none is not there, so that there are no more than there are calls.
    of_each: Mutex<HashMap<Caller, usize>>,
}

/// The place of one call, free again when this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    calls: Arc<Calls>,
    /// Where clients are counted.
    caller: Option<Caller>,
    _permit: OwnedSemaphorePermit,
}

/// Why there is no place for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    ForAnyone,
    /// This client has its share.
    ForThisClient,
}

impl Calls {
    pub(crate) fn new(at_a_time: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(at_a_time)), of_each: Mutex::default() })
    }

    /// How many more calls there may be.
    pub fn free(&self) -> usize {
        self.places.available_permits()
    }

    /// A place for a call of this client, which may have so many; 0 for as many as there are.
    pub(super) fn begin(self: &Arc<Self>, caller: impl FnOnce() -> Caller, share: usize) -> Result<InFlight, NoPlace> {
        let permit = self.places.clone().try_acquire_owned().map_err(|_| NoPlace::ForAnyone)?;
        let caller = (share > 0).then(caller);
        if let Some(caller) = &caller {
            let mut of_each = self.of_each.lock().unwrap_or_else(PoisonError::into_inner);
            match of_each.entry(caller.clone()) {
                Entry::Occupied(has) if *has.get() >= share => return Err(NoPlace::ForThisClient),
                Entry::Occupied(mut has) => *has.get_mut() += 1,
                Entry::Vacant(new) => _ = new.insert(1),
            }
        }
        Ok(InFlight { calls: self.clone(), caller, _permit: permit })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(caller) = self.caller.take() else { return };
        let mut of_each = self.calls.of_each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut has) = of_each.entry(caller) {
            *has.get_mut() -= 1;
            if *has.get() == 0 {
                has.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> impl FnOnce() -> Caller {
        move || Caller::at(address.parse().unwrap())
    }

    #[test]
    fn a_client_has_its_share_and_others_have_theirs() {
        let calls = Calls::new(4);
        let (first, _second) =
            (calls.begin(at("10.0.0.1"), 2).unwrap(), calls.begin(at("::ffff:10.0.0.1"), 2).unwrap());
        assert_eq!(calls.begin(at("10.0.0.1"), 2).unwrap_err(), NoPlace::ForThisClient);
        let _other = calls.begin(at("2001:db8::1"), 1).unwrap();
        assert_eq!(calls.begin(at("2001:db8::2"), 1).unwrap_err(), NoPlace::ForThisClient);
        let _third = calls.begin(|| Caller::Key(vec![1]), 1).unwrap();
        assert_eq!(calls.begin(at("10.0.0.9"), 1).unwrap_err(), NoPlace::ForAnyone);
        drop(first);
        assert!(calls.begin(at("10.0.0.1"), 2).is_ok());
    }

    #[test]
    fn who_has_no_call_in_flight_is_forgotten() {
        let calls = Calls::new(8);
        for n in 0..100 {
            drop(calls.begin(at(&format!("10.0.0.{n}")), 1).unwrap());
        }
        let _uncounted = calls.begin(at("10.0.0.1"), 0).unwrap();
        assert!(calls.of_each.lock().unwrap().is_empty());
    }
}
