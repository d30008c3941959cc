// Package reconciler keeps the life cycle of runs: it begins one for each
// destination that needs it, compares what the cluster and the repository hold, and
// sees the run through.
//
// Consumes the registry (KS_DESTINATION), the phases (KS_PHASE), REQUEST_RUN, and
// of KS_SNAP the states of lanes and repositories and the ends of all series;
// produces runs in KS_PHASE, REQUEST_CLUSTER_STATE and REQUEST_RESOURCES, one for
// each lane that it concerns, and results in KS_SNAP, which the destination's stream
// takes over and closes the run. Keeps nothing of its own: what it knows is read
// again from the bus.
//
// A run begins for a new destination, a changed spec, an interval that is over, and
// whenever one is asked for; which of these hold changes back, replace the run
// under way or wait for it, is one table (plan). An attempt at it is made
// anew when a lane, or the git-writer, says that it failed, or says nothing for too
// long; what belongs to an older one is ignored.
//
// Its janitor removes from the bus what nobody needs any more, and counts what waits before
// each hop (KS_LAG). It removes what a git-writer shows (KS_STATUS) of who has left.
//
// Promises: one run of a destination at a time; a restart begins none; asking twice
// is asking once; nothing is taken for absent on the account of a type that could
// not be listed, and no more is removed at once than is allowed (I6); memory does
// not grow with what is compared (I9); a destination that has left leaves nothing.
// Two reconcilers do each other's work twice and no harm: a run is begun by
// compare-and-swap, and of two results the first one counts.
package reconciler
