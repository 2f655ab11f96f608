//! Hash maps for what peers may name. Their hash is keyed at random, so that nobody chooses where
//! names collide, and costs a fraction of the standard library's for keys as short as addresses.

use std::collections::{HashMap, HashSet};

/// What makes the hashes, each with a key of its own.
pub type Keyed = foldhash::fast::RandomState;

/// A map from what peers may name.
pub type Map<K, V> = HashMap<K, V, Keyed>;

/// A set of what peers may name.
pub type Set<K> = HashSet<K, Keyed>;
