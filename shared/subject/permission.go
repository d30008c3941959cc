package subject

import (
	"slices"
	"strings"

	"github.com/kubescribe/kubescribe/shared/event"
)

// User is who the NATS server knows: a service, or who operates the services.
type User string

// The users.
const (
	UserWatcher    User = "watcher"
	UserRouter     User = "router"
	UserStream     User = "stream"
	UserReconciler User = "reconciler"
	UserGitWriter  User = "git-writer"
	// UserOperator provisions, and has the kubescribe command line look and ask.
	UserOperator User = "operator"
)

// Users are all of them.
func Users() []User {
	return []User{UserWatcher, UserRouter, UserStream, UserReconciler, UserGitWriter, UserOperator}
}

// Inbox is what the subjects begin with at which a user is answered. No other user may listen
// there, or a reader of one stream would read along what is read of the others.
func Inbox(u User) string { return "_INBOX." + string(u) }

// Permissions are the subjects, with wildcards, that a user may publish to and subscribe to: what
// it needs for its work, and nothing else. JetStream is asked by publishing, too
// ([NATS ADR-15] names the subjects). What a stream holds can be read by who may make
// a consumer of it: reading is allowed by streams, and not by the subjects in them.
//
// [NATS ADR-15]: https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-15.md
type Permissions struct {
	Publish, Subscribe []string
}

// access is what a user has to do with streams and buckets. A bucket's stream is told by the bucket's
// name.
type access struct {
	stores  []string // subjects of streams, messages under which it stores
	puts    []string // keys of buckets, each behind its bucket's name, that it writes
	reads   []string // streams that it reads in order, by consumers of its own
	looks   []string // streams and buckets of which it reads single messages
	watches []string // buckets that it follows, or reads whole
	answers bool     // requests, in KS_CTL, which it acknowledges
	purges  []string // streams, of which it removes what is under a subject
	removes []string // streams, of which it removes single messages
	makes   bool     // streams and buckets
}

// accesses are what each user has to do. All that dead-letter look whether a letter stands, and all that ask
// whether a request does.
var accesses = map[User]access{
	UserWatcher: {
		stores:  append(snapParts(SideCluster, SideContent), AllEvents, letters(string(UserWatcher)), CtlRuns),
		puts:    []string{BucketDestination + ".>", BucketCredential + ".>", BucketCursor + "." + Bookmarks + ".>", BucketLease + ".watcher.>"},
		reads:   []string{Ctl},
		looks:   []string{Events, Snap, Ctl, DLQ, BucketDestination, BucketCredential, BucketPhase, BucketLease},
		watches: []string{BucketDestination, BucketCredential, BucketPhase, BucketStatus, BucketLag, BucketLease},
		answers: true,
		purges:  []string{Snap}, // what it gives up in a full one
	},
	UserRouter: {
		stores:  []string{AllLive, letters(string(UserRouter))},
		puts:    []string{BucketLease + "." + LeaseRouter + ".>"},
		reads:   []string{Events},
		looks:   []string{Events, Live, DLQ, BucketDestination, BucketLease},
		watches: []string{BucketDestination, BucketLease},
	},
	UserStream: {
		stores:  []string{AllWrite, letters(string(UserStream)), CtlRuns},
		puts:    []string{BucketPhase + ".>", BucketLease + "." + LeaseStream + ".>"},
		reads:   []string{Live, Snap},
		looks:   []string{Live, Write, Snap, Ctl, DLQ, BucketDestination, BucketPhase, BucketLease},
		watches: []string{BucketDestination, BucketPhase, BucketLease},
	},
	UserReconciler: {
		stores: append(snapParts(SideResult, SideContent), snapSide(SideRun), letters(string(UserReconciler)),
			"ks.live.ckpt.>", // the cursor of a router, whose newest message is removed with its destination
			"ks.ctl."+event.RequestClusterState+".>", "ks.ctl."+event.RequestResources+".>"),
		puts:    []string{BucketPhase + ".>", BucketStatus + ".>", BucketLag + ".>", BucketLease + "." + LeaseReconciler + ".>"},
		reads:   []string{Events, Live, Write, Snap, Ctl}, // the janitor counts what waits in the first three
		looks:   []string{Events, Live, Write, Snap, Ctl, DLQ, BucketDestination, BucketPhase, BucketCursor, BucketStatus, BucketLag, BucketLease},
		watches: []string{BucketDestination, BucketPhase, BucketStatus, BucketLag, BucketLease},
		answers: true,
		purges:  []string{Events, Live, Write, Snap, Ctl},
	},
	UserGitWriter: {
		stores:  []string{snapSide(SideRepo), letters(string(UserGitWriter)), CtlRuns},
		puts:    []string{BucketStatus + ".>", BucketPhase + ".>", BucketCursor + ".hint.>", BucketLease + "." + LeaseGitWriter + ".>"},
		reads:   []string{Write},
		looks:   []string{Write, Snap, Ctl, DLQ, BucketDestination, BucketCredential, BucketPhase, BucketStatus, BucketLease},
		watches: []string{BucketDestination, BucketCredential, BucketLease},
		purges:  []string{Snap}, // as the watcher
	},
	UserOperator: {
		stores:  []string{AllCtl}, // a retry asks for whatever the letter is about
		reads:   []string{Events, Live, Write, DLQ},
		looks:   append([]string{BucketDestination, BucketCredential, BucketPhase, BucketStatus, BucketLag}, streams...),
		watches: []string{BucketDestination, BucketPhase, BucketStatus, BucketLag, BucketLease},
		purges:  []string{Snap}, // a comparison for kubescribe diff
		removes: []string{DLQ},
		makes:   true,
	},
}

var (
	streams = []string{Events, Live, Write, Snap, Ctl, DLQ}
	buckets = []string{BucketDestination, BucketCredential, BucketPhase, BucketLease, BucketCursor, BucketStatus, BucketLag}
)

// snapSide selects what one side says of any run.
func snapSide(s Side) string { return "ks.snap.*.*.*.*.*." + Token(string(s)) + ".>" }

// snapParts selects what those sides say whose lanes each say their part.
func snapParts(sides ...func(part int) Side) (all []string) {
	for _, side := range sides {
		for part := range Parts {
			all = append(all, snapSide(side(part)))
		}
	}
	return all
}

// letters are the dead letters of a stage.
func letters(stage string) string { return join("ks.dlq", Token(stage), ">") }

// streamOf is a stream, or the one that a bucket is.
func streamOf(name string) string {
	if slices.Contains(buckets, name) {
		return "KV_" + name
	}
	return name
}

// PermissionsOf are those of a user.
func PermissionsOf(u User) Permissions {
	const api = "$JS.API."
	a := accesses[u]
	p := Permissions{Publish: slices.Clone(a.stores), Subscribe: []string{Inbox(u) + ".>"}}
	allow := func(subjects ...string) { p.Publish = append(p.Publish, subjects...) }
	for _, key := range a.puts {
		bucket, _, _ := strings.Cut(key, ".")
		allow("$KV."+key, api+"DIRECT.GET."+streamOf(bucket)+".$KV."+key) // a key that was removed is told from one that never was
	}
	if a.makes {
		allow(api + "INFO") // what the server can do
	}
	for _, name := range slices.Concat(streams, buckets) {
		s := streamOf(name)
		allow(api + "STREAM.INFO." + s) // is the install whole, and the one that it was; how full is it
		if a.makes {
			allow(api+"STREAM.CREATE."+s, api+"STREAM.UPDATE."+s)
		}
	}
	for _, name := range a.looks {
		allow(api + "STREAM.MSG.GET." + streamOf(name))
	}
	for _, s := range a.reads {
		allow(api+"CONSUMER.CREATE."+s+".>", api+"CONSUMER.DELETE."+s+".>", api+"CONSUMER.MSG.NEXT."+s+".>")
	}
	for _, b := range a.watches {
		s := streamOf(b)
		// The server asks who follows to say that it still does, in the one form or in the other (NATS ADR-15).
		allow(api+"CONSUMER.CREATE."+s+".>", api+"CONSUMER.DELETE."+s+".>", "$JS.FC."+s+".>", "$JS.FC.*.*."+s+".>")
	}
	if a.answers {
		allow("$JS.ACK."+Ctl+".>", "$JS.ACK.*.*."+Ctl+".>")
	}
	for _, s := range a.purges {
		allow(api + "STREAM.PURGE." + s)
	}
	for _, s := range a.removes {
		allow(api + "STREAM.MSG.DELETE." + s)
	}
	return p
}
