// Package stream keeps one event stream for each destination: its phase, its
// order and its deduplication.
//
// Consumes KS_LIVE, the registry (KS_DESTINATION), the runs that the reconciler
// begins (KS_PHASE) and their results (KS_SNAP); produces KS_WRITE and the phases
// (KS_PHASE). Keeps, in KS_WRITE beside its output, a cursor and the phase for each
// destination; in memory, the last content of recent objects, and what passed
// behind the MARKs of a run that is under way.
//
// Promises: what reaches a destination leaves it in the same order, once
// (I1–I3); the same content of an object twice in a row is one write, A→B→A is
// three (I4), while what a run finds always goes on, because Git may have lost it;
// a result of a run never wins over something newer (I3, I5); memory is bounded
// whatever waits, because what is held back stays in KS_LIVE (I9); the same inputs
// give the same transitions (I12).
package stream
