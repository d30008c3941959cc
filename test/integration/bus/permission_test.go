package bus

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/kubescribe/kubescribe/shared/bus"
	"github.com/kubescribe/kubescribe/shared/event"
	"github.com/kubescribe/kubescribe/shared/subject"
	"github.com/kubescribe/kubescribe/test/integration/natstest"
)

// TestPermissions: on a server that knows kubescribe's users the operator provisions, each of them finds
// the install whole, and none can do what is another's: the server refuses it.
func TestPermissions(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	if err := s.ConnectAs(t, subject.UserOperator).Provision(t.Context(), bus.Options{Replicas: 1}); err != nil {
		t.Fatal(err)
	}
	k := event.DestinationKey{Cluster: "c", Namespace: "n", Name: "live"}
	const api, follow = "$JS.API.", "$JS.API.CONSUMER.CREATE."
	series := func(s subject.Side) subject.Series {
		return subject.Series{Destination: k, Run: "run", Attempt: 1, Side: s}
	}
	// Who may publish what; of all that is here nobody else may.
	only := map[string][]subject.User{
		subject.EventChange(0, "c", "", "configmaps", "shop"): {subject.UserWatcher},
		subject.EventFence(0, "c"):                            {subject.UserWatcher},
		subject.LiveData(0, k):                                {subject.UserRouter},
		subject.LiveCheckpoint(0):                             {subject.UserRouter, subject.UserReconciler},
		subject.WriteData("branch", k):                        {subject.UserStream},
		subject.WriteCheckpoint(k):                            {subject.UserStream},
		subject.CtlClusterState("c", 0, "run", 1):             {subject.UserReconciler, subject.UserOperator},
		subject.CtlRun(k):                                     {subject.UserWatcher, subject.UserStream, subject.UserGitWriter, subject.UserOperator},
		"ks.dlq.router.c.n.live.KS_EVENTS.1":                  {subject.UserRouter},
		series(subject.SideCluster(3)).End():                  {subject.UserWatcher},
		series(subject.SideContent(3)).Chunk("x", 1):          {subject.UserWatcher, subject.UserReconciler},
		series(subject.SideResult(3)).End():                   {subject.UserReconciler},
		series(subject.SideRun).End():                         {subject.UserReconciler},
		series(subject.SideRepo).Chunk("x", 1):                {subject.UserGitWriter},
		"$KV.KS_DESTINATION.c.n.live":                         {subject.UserWatcher},
		"$KV.KS_CREDENTIAL.c.n.git":                           {subject.UserWatcher},
		"$KV.KS_PHASE.c.n.live":                               {subject.UserStream, subject.UserReconciler, subject.UserGitWriter},
		"$KV.KS_STATUS.c.n.live":                              {subject.UserReconciler, subject.UserGitWriter},
		"$KV.KS_LAG.c.n.live":                                 {subject.UserReconciler},
		"$KV.KS_CURSOR." + subject.HintKey("branch"):          {subject.UserGitWriter},
		"$KV.KS_CURSOR.bookmark.c.g.r.n":                      {subject.UserWatcher},
		"$KV.KS_LEASE." + subject.LeaseKey("router", 0):       {subject.UserRouter},
		"$KV.KS_LEASE." + subject.LeaseKey("git-writer", 0):   {subject.UserGitWriter},
		"$KV.KS_LEASE.watcher.c.shard.0":                      {subject.UserWatcher},
		// Credentials of remotes are for who seals and who opens them, and an operator who has the key.
		follow + "KV_KS_CREDENTIAL.x":            {subject.UserWatcher, subject.UserGitWriter},
		api + "STREAM.MSG.GET.KV_KS_CREDENTIAL":  {subject.UserWatcher, subject.UserGitWriter, subject.UserOperator},
		api + "DIRECT.GET.KV_KS_CREDENTIAL":      {},
		api + "DIRECT.GET.KS_WRITE":              {},
		follow + "KS_EVENTS.x":                   {subject.UserRouter, subject.UserReconciler, subject.UserOperator},
		follow + "KS_WRITE.x":                    {subject.UserReconciler, subject.UserGitWriter, subject.UserOperator},
		follow + "KS_CTL.x":                      {subject.UserWatcher, subject.UserReconciler},
		follow + "KS_DLQ.x":                      {subject.UserOperator},
		api + "STREAM.PURGE.KS_SNAP":             {subject.UserWatcher, subject.UserReconciler, subject.UserGitWriter, subject.UserOperator},
		api + "STREAM.PURGE.KS_WRITE":            {subject.UserReconciler},
		api + "STREAM.PURGE.KS_DLQ":              {},
		api + "STREAM.MSG.DELETE.KS_DLQ":         {subject.UserOperator},
		api + "STREAM.MSG.DELETE.KS_WRITE":       {},
		api + "STREAM.DELETE.KS_EVENTS":          {},
		api + "STREAM.CREATE.KS_EVENTS":          {subject.UserOperator},
		api + "STREAM.CREATE.OTHER":              {},
		api + "STREAM.LIST":                      {},
		"elsewhere":                              {},
		subject.Inbox(subject.UserRouter) + ".x": {},
	}
	for _, u := range subject.Users() {
		t.Run(string(u), func(t *testing.T) {
			if err := s.ConnectAs(t, u).Verify(t.Context()); err != nil {
				t.Errorf("it finds no install: %v", err)
			}
			nc, err := nats.Connect(s.URL(), nats.UserInfo(string(u), natstest.Password(u)), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			may := func(subj string, do func() error) bool {
				t.Helper()
				if err := do(); err != nil {
					t.Fatal(subj, err)
				}
				if err := nc.FlushTimeout(natstest.Patience); err != nil { // what is refused is answered before this
					t.Fatal(subj, err)
				}
				last := nc.LastError()
				return !errors.Is(last, nats.ErrPermissionViolation) || !strings.Contains(last.Error(), `"`+subj+`"`)
			}
			for subj, by := range only {
				want := slices.Contains(by, u)
				if got := may(subj, func() error { return nc.Publish(subj, nil) }); got != want {
					t.Errorf("it may publish to %s: %t, want %t", subj, got, want)
				}
			}
			for _, subj := range []string{">", "ks.>", "$KV.>", "$JS.>", "_INBOX.>", subject.Inbox("another") + ".>"} {
				if may(subj, func() error { _, err := nc.SubscribeSync(subj); return err }) {
					t.Errorf("it may listen to %s", subj)
				}
			}
		})
	}
	// What is refused has no answer: it says why, instead of that it took too long alone.
	_, err := s.ConnectAs(t, subject.UserRouter).LastFor(t.Context(), subject.Write, subject.AllWrite)
	if err == nil || !strings.Contains(err.Error(), `Publish to "$JS.API.STREAM.MSG.GET.KS_WRITE"`) || !strings.Contains(err.Error(), "kubescribe explain accounts") {
		t.Errorf("it reads another's stream: %v", err)
	}
	if len(s.Refused()) == 0 {
		t.Error("the server's log says nothing of what it has refused: other tests rest on that")
	}
}
