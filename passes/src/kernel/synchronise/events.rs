//! Event ids.
//!
//! A *class* is a run of ids of one pair of pipes. Flags of one class are never in flight with the same id at once:
//!
//! * Tokens of regions that do not lie in each other share a class: whichever region ran last leaves all ids set, as the
//!   next one expects them.
//! * Flags that the same class of tokens paces share a class too: between two sets of an id, in different iterations or
//!   regions, lie the wait of the first, the token's set, the token's wait, and the second set.
//! * Flags that their source paces share a class with those of regions beside theirs: whatever the source sets after the
//!   region comes after their waits. So do flags that their destination paces: they are set after whatever it waited for
//!   before the region.
//! * Flags of one region and token, or of a region that runs once, share a class when the wait of the one is known to be
//!   over before the set of the next.

use super::region::{Kind, Pace, Region};
use std::collections::BTreeMap;
use tilewright_ir::kernel::Pipe;

type Pair = (Pipe, Pipe);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// The token of that nesting level.
    Token { pair: Pair, level: usize },
    /// A flag that a token paces.
    Paced {
        pair: Pair,
        token: (Pair, usize),
        color: usize,
    },
    /// A flag that its source or its destination paces.
    Own {
        pair: Pair,
        pace: Pace,
        color: usize,
    },
    /// A flag of a region that runs once.
    Once {
        pair: Pair,
        region: usize,
        color: usize,
    },
}

impl Class {
    fn pair(self) -> Pair {
        match self {
            Class::Token { pair, .. }
            | Class::Paced { pair, .. }
            | Class::Own { pair, .. }
            | Class::Once { pair, .. } => pair,
        }
    }
}

/// The base id of each flag.
pub(super) struct Ids {
    /// By region, outer before inner in program order, and flag.
    pub bases: Vec<Vec<usize>>,
    /// Tokens to set before everything else and to wait for in the end.
    pub primed: Vec<(Pair, usize)>,
}

/// How many classes of a pair the regions around one use.
#[derive(Default, Clone)]
struct InUse {
    levels: BTreeMap<Pair, usize>,
    own: BTreeMap<(Pair, Pace), usize>,
}

struct Classes {
    /// Classes in the order of their first use, with their widths.
    widths: BTreeMap<Class, (usize, usize)>,
    flags: Vec<Vec<Class>>,
}

impl Classes {
    fn region(&mut self, region: &Region, taken: &InUse) {
        let index = self.flags.len();
        self.flags.push(vec![]);
        let InUse {
            mut levels,
            mut own,
        } = taken.clone();
        let mut classes: Vec<Option<Class>> = region
            .flags
            .iter()
            .map(|f| {
                f.token?;
                let pair = (f.src, f.dst);
                let level = levels.entry(pair).or_insert(0);
                *level += 1;
                Some(Class::Token {
                    pair,
                    level: *level - 1,
                })
            })
            .collect();
        for (i, flag) in region.flags.iter().enumerate() {
            let pair = (flag.src, flag.dst);
            let color = region.colors[i];
            let token = match flag.pace {
                Pace::Token(t) => classes[t],
                _ => None,
            };
            let class = match (classes[i], token) {
                (Some(class), _) => class,
                (None, Some(Class::Token { pair: by, level })) => Class::Paced {
                    pair,
                    token: (by, level),
                    color,
                },
                (None, _) if matches!(flag.pace, Pace::Source | Pace::Destination) => Class::Own {
                    pair,
                    pace: flag.pace,
                    color: color + taken.own.get(&(pair, flag.pace)).copied().unwrap_or(0),
                },
                (None, _) => Class::Once {
                    pair,
                    region: index,
                    color,
                },
            };
            if let Class::Own { color, pace, .. } = class {
                let most = own.entry((pair, pace)).or_insert(0);
                *most = (*most).max(color + 1);
            }
            classes[i] = Some(class);
            let first = self.widths.len();
            let width = self.widths.entry(class).or_insert((first, 0));
            width.1 = width.1.max(width_of(region, i));
            self.flags[index].push(class);
        }
        let inside = InUse { levels, own };
        for item in &region.items {
            match &item.kind {
                Kind::Loop { region, .. } => self.region(region, &inside),
                Kind::If {
                    then, otherwise, ..
                } => {
                    self.region(then, &inside);
                    self.region(otherwise, &inside);
                }
                Kind::Instr(_) | Kind::Idle(_) => {}
            }
        }
    }
}

/// How many ids a flag rotates through.
pub(super) fn width_of(region: &Region, flag: usize) -> usize {
    let f = &region.flags[flag];
    let token = match f.pace {
        Pace::Token(t) => region.flags[t].token,
        Pace::Source | Pace::Destination | Pace::None => f.token,
    };
    token.unwrap_or(1)
}

/// Numbers all flags with so many ids a pair of pipes, or names the pairs that need more.
pub(super) fn assign(root: &Region, event_ids: usize) -> Result<Ids, Vec<Pair>> {
    let mut classes = Classes {
        widths: BTreeMap::new(),
        flags: vec![],
    };
    classes.region(root, &InUse::default());
    let mut order: Vec<(usize, usize, Class)> = classes
        .widths
        .iter()
        .map(|(&class, &(first, width))| (first, width, class))
        .collect();
    order.sort();
    let total = |of: &dyn Fn(Pair) -> bool| -> usize {
        order.iter().filter(|c| of(c.2.pair())).map(|c| c.1).sum()
    };
    let mut over: Vec<Pair> = order.iter().map(|c| c.2.pair()).collect();
    over.sort();
    over.dedup();
    over.retain(|&pair| total(&|p| p == pair) > event_ids);
    if !over.is_empty() {
        return Err(over);
    }
    let mut next: BTreeMap<(Option<Pipe>, Pipe), usize> = BTreeMap::new();
    let mut bases = BTreeMap::new();
    let mut primed = vec![];
    for &(_, width, class) in &order {
        let (src, dst) = class.pair();
        // Tools that tell channels apart by destination and id alone see different ones where the ids suffice.
        let shared = total(&|p| p.1 == dst) > event_ids;
        let base = next.entry((shared.then_some(src), dst)).or_insert(0);
        bases.insert(class, *base);
        if matches!(class, Class::Token { .. }) {
            primed.extend((*base..*base + width).map(|id| ((src, dst), id)));
        }
        *base += width;
    }
    Ok(Ids {
        bases: classes
            .flags
            .iter()
            .map(|flags| flags.iter().map(|c| bases[c]).collect())
            .collect(),
        primed,
    })
}
