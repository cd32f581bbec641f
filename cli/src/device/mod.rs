//! Devices as people name them: any selector of the policy, or a name that the system has ([`name`]); [`chosen`] is
//! what the words of a command mean.

pub mod chosen;
pub mod name;
