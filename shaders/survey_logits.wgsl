// Survey row 0 of the logits for `sample`: a workgroup a span of ids. Only for large vocabularies.
//
// Tried and dropped: counting the keys by their upper 12 bits in 4,096 bins besides, which brackets a threshold between two bins also
// where many tokens are about as likely; llvmpipe takes 15 ns for an atomic addition, 2.3 ms for 152k logits (docs/PERFORMANCE.md).
// Dispatch (SPANS, 1, 1). Uses: keys.wgsl. Oracle: tests/shaders/oracles.py:survey_logits

@group(0) @binding(0) var<uniform> step: Step;
@group(0) @binding(1) var<storage, read> logits: array<u32>;       // (V), bits of f32
@group(0) @binding(2) var<storage, read_write> spans: array<Span>; // (SPANS), written

override THREADS: u32 = 64;  // at most MAX_THREADS; fewer on a CPU adapter, which pays for each thread at each barrier
const MAX_THREADS: u32 = 64;

var<workgroup> largest_key: atomic<u32>;
var<workgroup> likeliest: atomic<u32>;
var<workgroup> bad_logit: atomic<u32>;
var<workgroup> masses: array<f32, MAX_THREADS>;

@compute @workgroup_size(THREADS)
fn survey_logits(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  if (local == 0u) {
    atomicStore(&largest_key, 0u);  // WGSL promises the zero; Mesa 22.3's llvmpipe does not keep the promise
    atomicStore(&likeliest, NOWHERE);
    atomicStore(&bad_logit, NOWHERE);
  }
  workgroupBarrier();

  let start = min(workgroup.x * span_size(), VOCAB_SIZE);
  let end = min(start + span_size(), VOCAB_SIZE);
  var own_key = 0u;
  var own_likeliest = NOWHERE;
  for (var id = start + local; id < end; id += THREADS) {
    let bits = logits[id];
    if (is_bad(bits)) {
      atomicMin(&bad_logit, id);
      continue;
    }
    let key = key_of(bits);
    if (own_likeliest == NOWHERE || key > own_key) {
      own_key = key;
      own_likeliest = id;
    }
  }
  atomicMax(&largest_key, own_key);
  workgroupBarrier();
  if (own_key == atomicLoad(&largest_key)) {
    atomicMin(&likeliest, own_likeliest);
  }

  var mass = 0.0;
  if (needs_mass(step) && atomicLoad(&largest_key) >= LOWEST_KEY) {
    let largest = logit_of(atomicLoad(&largest_key));
    for (var id = start + local; id < end; id += THREADS) {
      mass += weight_of(key_of(logits[id]), largest, step.temperature);
    }
  }
  masses[local] = mass;
  workgroupBarrier();
  if (local == 0u) {
    for (var i = 1u; i < THREADS; i++) {
      mass += masses[i];
    }
    spans[workgroup.x] = Span(atomicLoad(&largest_key), atomicLoad(&likeliest), atomicLoad(&bad_logit), mass);
  }
}
