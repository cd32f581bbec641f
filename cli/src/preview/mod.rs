//! What a running system adds to the agent's plan: [`known`] is what the image of this boot knew and what
//! is so now, [`taken`] what would be taken now and is in use, [`in_use`] what would be missed, [`notes`] what
//! else there is to say ([`mapping`], [`module`]), [`policy_file`] what is wrong in the policy file. [`next_boot`] is the
//! system with the image that will boot, and [`view`] the whole plan, for whoever shows it.

pub mod in_use;
pub mod known;
pub mod mapping;
pub mod module;
pub mod next_boot;
pub mod notes;
pub mod policy_file;
pub mod taken;
pub mod view;
