//! The kernels of one state, from the last to the first: what a kernel stores depends on what later ones read.

use super::groups::Group;
use super::mix::{Wanted, feeds};
use super::moves::State;
use super::plans::{Chosen, Evaluated, Extracted, PlanSearch, StateCost};
use crate::hash::{HashMap, HashSet};
use crate::lower::LowerError;
use crate::search::kernel::{ExtractError, reads};
use egg::Symbol;
use indexmap::IndexSet;
use std::collections::BTreeSet;
use std::rc::Rc;
use tilewright_ir::kernel::Unit;

/// A state whose last kernels are chosen.
pub(super) struct Assembly<'s, 'a> {
    search: &'s PlanSearch<'a>,
    state: &'s State,
    /// Forms of products that this state does not read.
    hidden: Vec<&'s BTreeSet<Symbol>>,
    /// What the kernels chosen so far read.
    read: BTreeSet<String>,
    /// Groups that are part of a launch that was chosen.
    launched: HashSet<usize>,
    /// Products that a group feeds, by its place.
    fed: HashMap<usize, Wanted>,
    /// What products store that are part of a launch: the launch comes later than kernels between, so these cannot read it.
    taken: BTreeSet<Symbol>,
}

/// A launch: the kernel under whose name it runs, products in it, and its candidates.
struct Launch {
    wanted: Wanted,
    products: Vec<Wanted>,
    candidates: Extracted,
}

impl<'s, 'a> Assembly<'s, 'a> {
    pub fn new(search: &'s PlanSearch<'a>, state: &'s State) -> Self {
        let products = search.products.iter().zip(&state.forms);
        Assembly {
            search,
            state,
            hidden: products.map(|(p, f)| &p.forms[*f]).collect(),
            read: BTreeSet::new(),
            launched: HashSet::default(),
            fed: HashMap::default(),
            taken: BTreeSet::new(),
        }
    }

    pub fn run(mut self) -> Evaluated {
        let (mut lacking, mut picoseconds) = (0, 0);
        let (mut chosen, mut error) = (vec![], None);
        for i in (0..self.state.groups.len()).rev() {
            let Some(launch) = self.launch(i) else {
                continue;
            };
            let Launch {
                wanted,
                products,
                candidates,
            } = launch;
            match candidates {
                Ok(candidates) => {
                    self.read.extend(reads(&candidates[0].plan));
                    picoseconds += candidates[0].rank().0;
                    chosen.push(Chosen {
                        group: wanted.group,
                        needed: wanted.needed,
                        readable: wanted.readable,
                        products,
                        candidates,
                    });
                }
                Err(e) => {
                    self.read.extend(wanted.group.spec.reads.iter().cloned());
                    lacking += 1;
                    error = error.or(Some(e));
                }
            }
        }
        chosen.reverse();
        Evaluated {
            cost: match lacking {
                0 => StateCost::Whole(picoseconds),
                n => StateCost::Lacking(n, picoseconds),
            },
            chosen,
            error,
            state: Rc::new(self.state.clone()),
        }
    }

    /// The launch that ends with a group; none where nobody needs it, or an earlier place has it.
    fn launch(&mut self, i: usize) -> Option<Launch> {
        if self.launched.contains(&i) {
            return None;
        }
        let group = &self.state.groups[i];
        let wanted = self.want(i, &self.read);
        if wanted.needed.is_empty() {
            return None;
        }
        if let Some(product) = self.fed.remove(&i) {
            return Some(self.mixed(wanted, vec![product]));
        }
        let candidates = (self.search).kernel(group, &wanted.needed, &wanted.readable);
        let mixed = group.members.iter().any(|m| self.state.mixed.contains(m));
        match &candidates {
            Ok(alone) if mixed => {
                let reads = reads(&alone[0].plan);
                match group.spec.unit {
                    Unit::Cube => self.with_maker(i, wanted, candidates, reads),
                    _ => Some(self.with_products(i, wanted, &reads)),
                }
            }
            _ => Some(Launch {
                wanted,
                products: vec![],
                candidates,
            }),
        }
    }

    /// What is wanted of a group, where these values are read later.
    fn want(&self, i: usize, read: &BTreeSet<String>) -> Wanted {
        let group = &self.state.groups[i];
        let stores = &group.spec.stores;
        let mut needed: Vec<usize> = (0..stores.len())
            .filter(|s| stores[*s].result || read.contains(stores[*s].tensor()))
            .collect();
        if group.spec.exchange.is_some() && !needed.is_empty() {
            // What ranks exchange comes together, whoever reads it.
            needed = (0..stores.len()).collect();
        }
        let may = |name: &Symbol| {
            let unread = |m: &usize| self.state.unread.contains(&(*m, name.as_str()));
            // What a pin mixes with its reader lies in no memory for others.
            let own = |reader: &usize| group.members.contains(reader);
            let reserved = self.search.reserved.get(name).is_some_and(|r| !own(r));
            let hidden = reserved || self.hidden.iter().any(|h| h.contains(name));
            let taken = self.taken.contains(name);
            !hidden && !taken && !group.members.iter().any(unread)
        };
        let mut readable = self.search.readable(&self.state.groups[..i]);
        readable.retain(|n| group.concerns.contains(n) && may(n));
        Wanted {
            group: group.clone(),
            needed,
            readable,
        }
    }

    fn mixed(&self, wanted: Wanted, products: Vec<Wanted>) -> Launch {
        Launch {
            candidates: self.search.mixed(&wanted, &products),
            wanted,
            products,
        }
    }

    /// A product with the vector kernel that stores what it reads, if there is one; none where they come at that one's place.
    fn with_maker(
        &mut self,
        i: usize,
        product: Wanted,
        alone: Extracted,
        reads: IndexSet<String>,
    ) -> Option<Launch> {
        // A vector kernel feeds one product.
        let maker = maker(&self.state.groups[..i], &reads, &self.launched);
        let Some((j, early)) = maker.filter(|(j, _)| !self.fed.contains_key(j)) else {
            let group = &product.group;
            let candidates = match self.search.fed_by_pin(group) {
                true => Err(ExtractError::Lower(LowerError::Mix {
                    kernel: group.spec.region.clone(),
                    product: group.spec.name.clone(),
                    what: "no vector kernel alone stores what it reads, for it alone",
                })),
                false => alone,
            };
            return Some(Launch {
                wanted: product,
                products: vec![],
                candidates,
            });
        };
        if early {
            self.read.extend(reads);
            self.fed.insert(j, product);
            return None;
        }
        let read = self.read.iter().chain(&reads).cloned().collect();
        let vector = self.want(j, &read);
        self.launched.insert(j);
        Some(self.mixed(vector, vec![product]))
    }

    /// A vector kernel with the products that it alone reads.
    fn with_products(&mut self, i: usize, vector: Wanted, reads: &IndexSet<String>) -> Launch {
        let mut products = vec![];
        let (mut places, mut taken) = (vec![], vec![]);
        for (j, other) in self.state.groups[..i].iter().enumerate() {
            let stores = |n: &String| other.stores(n);
            let only = !self.read.iter().any(stores) && !other.spec.stores.iter().any(|s| s.result);
            let free = other.spec.unit == Unit::Cube && !self.search.fed_by_pin(other);
            if free && only && reads.iter().any(stores) {
                products.push(self.want(j, &reads.iter().cloned().collect()));
                places.push(j);
                taken.extend(other.spec.stores.iter().map(|s| Symbol::from(s.tensor())));
            }
        }
        self.launched.extend(places);
        self.taken.extend(taken);
        self.mixed(vector, products)
    }
}

/// The vector kernel that stores what a product after these groups reads, if it is one; and whether both come at its place, as
/// others between the two read of it, or at the product's.
fn maker(
    before: &[Rc<Group>],
    reads: &IndexSet<String>,
    launched: &HashSet<usize>,
) -> Option<(usize, bool)> {
    let stores = |j: &usize| reads.iter().any(|r| before[*j].stores(r));
    let mut makers = (0..before.len()).filter(stores);
    let (Some(j), None) = (makers.next(), makers.next()) else {
        return None;
    };
    let spec = &before[j].spec;
    let alone = spec.unit == Unit::Vector && spec.exchange.is_none() && !launched.contains(&j);
    let early = before[j + 1..].iter().any(|g| feeds(&before[j], g));
    alone.then_some((j, early))
}
