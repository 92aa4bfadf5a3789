//! The gate of the SwiGLU layer.

use super::columns::Columns;
use super::exp::silu_of;
use super::threads::Cores;

/// Elements of a part: what a thread does in some microseconds.
const PART: usize = 4096;

/// `gate = silu(gate) · up`, element by element, where silu(z) = z / (1 + e^−z).
pub(super) fn silu(cores: Cores<'_>, gate: &mut [f32], up: &[f32]) {
    let columns = Columns::all(gate, gate.len());
    cores.for_each(up.len().div_ceil(PART), |part| {
        let elements = part * PART..up.len().min((part + 1) * PART);
        // SAFETY: the parts have no element in common, none is called twice, and nothing else writes to `gate`.
        let mut gate = unsafe { columns.part(elements.clone()) };
        let (gate, up) = (gate.line(0), &up[elements]);
        match cores.isa.kernels() {
            // SAFETY: whoever made the Isa promised that the processor has these instructions.
            Some(kernels) => unsafe { (kernels.silu)(gate, up) },
            None => silu_of(gate, up),
        }
    });
}
