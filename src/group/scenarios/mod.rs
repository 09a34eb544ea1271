//! Stories of groups. `play` reads one line per event, `time who what key=value…`, and writes behind
//! it how the group stands, who was answered what, and what was written.

mod joining;
mod leaving;
mod memory;
mod offsets;
mod play;
mod replaying;
mod statics;
mod syncing;

use play::{Play, play};
