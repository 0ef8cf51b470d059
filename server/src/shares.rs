//! Shares of a limited number of places, so that one network leaves places to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A network gets a further place while it has less than this many times the free ones.
const FACTOR: usize = 2;

/// A limited number of places.
///
/// A network gets a place only while it holds less than twice as many as are free. One network alone gets two thirds of the
/// places. Networks that take what they get leave places free for the next one: ten of them leave one place in 21.
#[derive(Clone)]
pub(crate) struct Shares(Arc<Mutex<Places>>);

struct Places {
    free: usize,
    held: HashMap<String, usize>,
}

/// A place, which is free again when it is dropped.
pub(crate) struct Share {
    shares: Shares,
    network: Option<String>,
}

impl Shares {
    pub(crate) fn new(places: usize) -> Self {
        Self(Arc::new(Mutex::new(Places { free: places, held: HashMap::new() })))
    }

    /// Takes a place for a network. Without a network, only the number of places limits it.
    pub(crate) fn take(&self, network: Option<String>) -> Option<Share> {
        let mut places = self.places();
        let held = network.as_ref().map_or(0, |network| places.held.get(network).copied().unwrap_or(0));
        if held >= FACTOR * places.free {
            return None;
        }
        places.free -= 1;
        if let Some(network) = &network {
            places.held.insert(network.clone(), held + 1);
        }
        Some(Share { shares: self.clone(), network })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut places = self.shares.places();
        places.free += 1;
        let Some(network) = &self.network else { return };
        match places.held.get_mut(network) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(places.held.remove(network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes places until there is none.
    fn take_all(shares: &Shares, network: Option<&str>) -> Vec<Share> {
        std::iter::from_fn(|| shares.take(network.map(str::to_owned))).collect()
    }

    #[test]
    fn one_network_leaves_places_to_others() {
        let shares = Shares::new(30);
        let flood = take_all(&shares, Some("a"));
        assert_eq!(flood.len(), 20);
        let others: Vec<Share> =
            ["b", "c", "d"].iter().filter_map(|network| shares.take(Some((*network).to_owned()))).collect();
        assert_eq!(others.len(), 3);
        drop((flood, others));
        assert_eq!(shares.places().free, 30);
        assert!(shares.places().held.is_empty());
    }

    #[test]
    fn many_networks_leave_a_place_to_the_next() {
        let shares = Shares::new(210);
        let networks: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        // They take one place each, again and again, more often than there are places.
        let turns = networks.iter().cycle().take(10 * 210);
        let _held: Vec<Share> = turns.filter_map(|network| shares.take(Some(network.clone()))).collect();
        assert!(shares.places().free >= 10, "{} places are free", shares.places().free);
        assert!(shares.take(Some("next".to_owned())).is_some());
    }

    #[test]
    fn proxies_share_all_places() {
        let shares = Shares::new(30);
        let proxied = take_all(&shares, None);
        assert_eq!(proxied.len(), 30);
        assert!(shares.take(Some("a".to_owned())).is_none());
    }
}
