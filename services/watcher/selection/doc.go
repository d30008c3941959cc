// Package selection decides which destinations mirror an object, and what of it stands in
// Git for each: the meaning of rules. It is pure.
//
// The watcher is the only one who decides that. It alone sees whole objects, from which
// labels, owners and exclusions are read and manifests are made, and it alone knows what a
// version before was, by which an object leaves a destination; and a run's state of the
// cluster has to be selected as the changes around it are.
package selection
