//! What holds for every plan, whatever the machine and whatever was asked.

use std::collections::BTreeSet;

use proptest::prelude::*;
use vfio_bind_agent::machine::inventory::{Function, Inventory};
use vfio_bind_agent::machine::sriov::Role;
use vfio_bind_agent::pci::address::Address;
use vfio_bind_agent::pci::id::DeviceId;
use vfio_bind_agent::plan::Planning;
use vfio_bind_agent::plan::decision::{Decision, Plan};
use vfio_bind_agent::policy::selector::{Selector, Source};
use vfio_bind_agent::policy::sources::Sources;
use vfio_bind_agent::policy::{GroupPolicy, Policy, presence};

/// Few values for each field, so that selectors hit and groups are shared.
fn function() -> impl Strategy<Value = Function> {
    let class = prop::sample::select(&[0x03_0000, 0x04_0300, 0x02_0000, 0x06_0000, 0x0c_0500][..]);
    let place = (0u8..3, 0u8..3, 0u8..3);
    let group = prop::option::weighted(0.9, 0u32..4);
    let bridge = prop::bool::weighted(0.2);
    let boots_on = prop::bool::weighted(0.3);
    (place, 0u32..3, class, group, bridge, boots_on).prop_map(
        |((bus, device, function), id, class, group, bridge, boots_on)| Function {
            address: Address {
                domain: 0,
                bus,
                device,
                function,
            },
            id: DeviceId {
                vendor: 0x8086,
                device: id,
                class,
                ..DeviceId::default()
            },
            group,
            bridge,
            // The next bus.
            buses: if bridge { (bus + 1, bus + 1) } else { (0, 0) },
            way: None,
            boot_display: boots_on && class == 0x03_0000 && !bridge,
            in_doubt: false,
            role: Role::Plain,
            driver: None,
        },
    )
}

fn machine() -> impl Strategy<Value = Vec<Function>> {
    prop::collection::vec(function(), 0..16).prop_map(|mut functions| {
        functions.sort_by_key(|function| function.address);
        functions.dedup_by_key(|function| function.address);
        functions
    })
}

const REQUEST: &str = "(vfio\\.bind=!?0[0-2]:0[0-2]\\.[0-2] |vfio\\.bind=!?8086:(000[0-2]|\\*) \
                       |vfio_pci\\.ids=8086:(ffffffff|[0-2]) |vfio\\.group=(strict|listed|x) \
                       |vfio\\.protect=0[0-2]:0[0-2]\\.[0-2] |vfio\\.force |vfio\\.bind=!?junk \
                       |vfio\\.(bind|protect)=!?0[0-2]:0[0-2]\\.[0-2]@8086:000[0-2] ){0,4}";

fn inventory(functions: impl IntoIterator<Item = Function>) -> Box<Inventory> {
    let mut inventory = Box::<Inventory>::default();
    functions
        .into_iter()
        .for_each(|function| inventory.add(function));
    inventory.sort();
    inventory
}

fn plan(policy: &Policy<'_>, inventory: &Inventory) -> Plan {
    let mut planning = Planning::EMPTY;
    planning.make(policy, inventory);
    planning.plan
}

fn policy(line: &str) -> Policy<'_> {
    Policy::read(&Sources {
        line: line.as_bytes(),
        ..Sources::default()
    })
}

fn bound<'a>(inventory: &'a Inventory, plan: &Plan) -> Vec<&'a Function> {
    plan.bound()
        .map(|step| inventory.get(step.function).unwrap())
        .collect()
}

fn steps(inventory: &Inventory, plan: &Plan) -> Vec<(Address, Decision)> {
    let address = |step: &vfio_bind_agent::plan::decision::Step| {
        inventory.get(step.function).unwrap().address
    };
    plan.steps
        .iter()
        .map(|step| (address(step), step.decision))
        .collect()
}

proptest! {
    #[test]
    fn no_plan_takes_what_it_may_not(functions in machine(), line in REQUEST) {
        let (inventory, mut policy) = (inventory(functions), policy(&line));
        presence::look(&mut policy, &inventory);
        let plan = plan(&policy, &inventory);
        let bound = bound(&inventory, &plan);
        let names_nothing = |selector: &Selector<'_>| {
            !inventory.iter().any(|(_, f)| selector.matches(f))
        };
        let mut exclusions = policy.selectors.iter().filter(|s| {
            s.excludes && s.source == Source::Bind && s.expected.is_none()
        });
        let in_vain = exclusions.any(names_nothing);
        prop_assert!(!in_vain || bound.is_empty(), "bound beside an exclusion of nothing");
        let groups: BTreeSet<_> = bound.iter().map(|function| function.group).collect();
        let asked = |function: &Function, excludes| {
            policy.selectors.iter().any(|selector| {
                !selector.source.protects()
                    && selector.excludes == excludes
                    && selector.matches(function)
            })
        };
        let protected = |function: &Function| {
            let mut all = policy.selectors.iter().filter(|s| s.source.protects());
            !policy.force && all.any(|s| s.matches(function))
        };
        for (_, function) in inventory.iter().filter(|(_, f)| groups.contains(&f.group)) {
            prop_assert!(!protected(function), "the group of {function:?} is bound");
            let mut above = inventory.iter().filter(|(_, f)| f.leads_to(function.address));
            let safe = above.all(|(_, bridge)| !protected(bridge));
            prop_assert!(safe, "{function:?} is behind what is protected, and its group is bound");
        }
        for function in &bound {
            prop_assert!(!function.bridge, "{function:?} is a bridge");
            prop_assert!(function.group.is_some(), "{function:?} has no group");
            prop_assert!(!asked(function, true), "{function:?} is excluded");
            prop_assert!(asked(function, false) || !function.id.is_system(), "{function:?}");
            let may_go = !function.boot_display || asked(function, false) || policy.force;
            prop_assert!(may_go, "{function:?} goes by the way");
            prop_assert!(!policy.forbids_binding());
            if policy.group != GroupPolicy::Endpoints {
                prop_assert!(asked(function, false), "{function:?} was not asked for");
            }
        }
        if policy.group != GroupPolicy::Listed {
            for (_, function) in inventory.iter().filter(|(_, f)| groups.contains(&f.group)) {
                let stays = function.bridge || function.id.is_system();
                prop_assert!(
                    stays || bound.contains(&function),
                    "{function:?} is left behind in a bound group"
                );
            }
        }
        for (_, function) in inventory.iter().filter(|(_, f)| asked(f, false) && !asked(f, true)) {
            let told = steps(&inventory, &plan).iter().any(|(a, _)| *a == function.address);
            prop_assert!(told, "{function:?} was asked for and is not spoken of");
        }
    }

    #[test]
    fn the_order_of_sysfs_does_not_matter(
        (functions, shuffled) in machine().prop_flat_map(|functions| {
            (Just(functions.clone()), Just(functions).prop_shuffle())
        }),
        line in REQUEST,
    ) {
        let policy = policy(&line);
        let (one, other) = (inventory(functions), inventory(shuffled));
        prop_assert_eq!(
            steps(&one, &plan(&policy, &one)),
            steps(&other, &plan(&policy, &other))
        );
    }
}
