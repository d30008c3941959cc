// Package stream keeps one event stream for each destination: its phase, its
// order and its deduplication.
//
// Consumes KS_LIVE and the registry (KS_DESTINATION); produces KS_WRITE and the
// phases (KS_PHASE). Keeps, in KS_WRITE beside its output, a cursor and the
// phase for each destination; in memory, the last content of recent objects.
//
// Promises: what reaches a destination leaves it in the same order, once
// (I1–I3); the same content of an object twice in a row is one write, A→B→A is
// three (I4), while what a run publishes always goes on, because Git may have lost
// it; memory is bounded whatever waits (I9).
package stream
