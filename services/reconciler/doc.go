// Package reconciler keeps the life cycle of runs: it begins one for each
// destination that needs it and sees it through.
//
// Consumes the registry (KS_DESTINATION), the phases (KS_PHASE) and
// REQUEST_RUN; produces REQUEST_CLUSTER_STATE, one for each lane of the
// destination's cluster, and the phase STARTUP_RECONCILE. Keeps nothing.
//
// A run of this version publishes what exists through the live path and ends
// when every lane has closed its part with a MARK. Comparing both sides, and
// removing what only Git holds, is not part of it yet: nothing is deleted in
// Git but by a live DELETE (I6).
//
// Promises: a new or changed destination gets a run; a restart gives it none;
// asking twice is asking once.
package reconciler
