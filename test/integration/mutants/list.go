package mutants

// The packages of the tests.
const (
	busTests      = "./test/integration/bus"
	roleTests     = "./test/integration"
	captureTests  = "./services/watcher/internal/capture"
	branchTests   = "./services/git-writer/internal/branch"
	repoTests     = "./services/git-writer/internal/repo"
	diffTests     = "./services/reconciler/diff"
	janitorTests  = "./services/reconciler/janitor"
	phaseTests    = "./services/stream/phase"
	subjectTests  = "./shared/subject"
	runTests      = "./services/reconciler"
	messageTests  = "./services/git-writer/internal/message"
	indexTests    = "./services/watcher/index"
	manifestTests = "./shared/manifest"
)

// List is all mutants. Each takes back something that the documents promise, and names the
// quickest test that has to notice.
func List() []Mutant {
	return []Mutant{
		// From the API server to the bus.
		{
			Name: "all destinations in one message", Why: "with some thousand of them a message has no room, is refused for ever, and its lane stands still",
			File:    "services/watcher/internal/capture/publish.go",
			Find:    "w.byLength(w.bySensitivity(w.index.Publications(key, next, possible)))",
			Replace: "w.bySensitivity(w.index.Publications(key, next, possible))",
			Package: captureTests, Test: "TestManyDestinations",
		},
		{
			Name: "410 swallowed", Why: "what changed while nobody watched is missing in Git, and nobody is told",
			File:    "services/watcher/internal/capture/worker.go",
			Find:    "\t\t\tw.gone = true\n",
			Replace: "\t\t\tw.rv = \"\"\n",
			Package: captureTests, Test: "TestGoneWithIndex",
		},
		{
			Name: "suppressed by an index that is ahead", Why: "after a restart, versions are dropped as if they had been published",
			File:    "services/watcher/internal/capture/watch.go",
			Find:    "if w.waiting != nil && !index.Newer(w.waiting.at, w.rv) {",
			Replace: "if w.waiting != nil {",
			Package: captureTests, Test: "TestResumedBehindTheList",
		},
		{
			Name: "resumed in the middle of a version", Why: "a crash between two messages of one version loses it for some destinations",
			File:    "services/watcher/internal/capture/publish.go",
			Find:    "if next.RV != \"\" && i == len(all)-1 {",
			Replace: "if next.RV != \"\" {",
			Package: captureTests, Test: "TestEnterAndLeave",
		},
		{
			Name: "Secret in clear on the bus", Why: "whoever reads the bus, or a backup of it, reads Secrets",
			File:    "services/watcher/internal/capture/change.go",
			Find:    "if of.audience == nil {\n\t\treturn nil\n\t}\n\tc.Path",
			Replace: "if of.audience == nil || len(of.manifest) > 0 {\n\t\treturn nil\n\t}\n\tc.Path",
			Package: captureTests, Test: "TestSealed",
		},
		{
			Name: "content hash alone as message ID", Why: "the second A of A→B→A is dropped, and another object of the same content",
			File:    "shared/subject/id.go",
			Find:    "fields := []string{c.ClusterID, c.UID, c.ResourceVersion, string(c.Op), c.Hash, strconv.Itoa(c.Sanitizer)}",
			Replace: "fields := []string{c.Hash}",
			Package: subjectTests, Test: "TestChangeID",
		},
		{
			Name: "object made anew taken for the old one", Why: "one that was deleted and made again with the same content is suppressed",
			File:    "services/watcher/index/index.go",
			Find:    "if had.UID == v.UID {",
			Replace: "if had.UID == v.UID || had.UID != \"\" {",
			Package: indexTests, Test: "TestPublications",
		},
		{
			Name: "publish without the fence", Why: "a watcher that stood still past its lease writes among what its successor writes",
			File:    "shared/bus/lane.go",
			Find:    "\t\t\t\tjetstream.WithMsgID(id),\n\t\t\t\tjetstream.WithExpectLastSequenceForSubject(l.fence, l.subject))",
			Replace: "\t\t\t\tjetstream.WithMsgID(id))",
			Package: busTests, Test: "TestBus/fencing",
		},
		{
			Name: "two versions of an object in one burst", Why: "the second is decided by what was before the first, and dropped where it goes back to that",
			File:    "services/watcher/internal/capture/burst.go",
			Find:    "if w.burst.keys[key] || len",
			Replace: "if len",
			Package: captureTests, Test: "TestBurst",
		},
		{
			Name: "position moved by what was not published", Why: "after an error in the middle of a burst, the rest of it is never seen again",
			File:    "services/watcher/internal/capture/burst.go",
			Find:    "\t\tif v.end > done {\n\t\t\tbreak\n\t\t}\n",
			Replace: "",
			Package: captureTests, Test: "TestBurstCutShort",
		},
		{
			Name: "batch without the fence", Why: "a watcher that stood still past its lease writes among what its successor writes",
			File:    "shared/bus/lane.go",
			Find:    "\tmsgs[0].Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, l.subject)\n\tmsgs[0].Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(l.fence, 10))\n",
			Replace: "\t_ = strconv.FormatUint(l.fence, 10)\n",
			Package: busTests, Test: "TestBus/publishAll",
		},
		{
			Name: "batch published again after a lost answer", Why: "once the server has forgotten the IDs, all of it is there twice",
			File:    "shared/bus/lane.go",
			Find:    "err == nil && begin.ID() == first.ID {",
			Replace: "err == nil && begin.ID() == first.ID && len(batch) == 0 {",
			Package: busTests, Test: "TestLaneAnswerLost",
		},
		{
			Name: "batch taken for stored by its last ID", Why: "where the last of it had been stored before, the rest is lost",
			File:    "shared/bus/lane.go",
			Find:    "m.ID() == last.ID && m.Seq > before+behind {",
			Replace: "m.ID() == last.ID {\n\t\tif m.Seq <= before+behind {\n\t\t\treturn true, nil\n\t\t}",
			Package: busTests, Test: "TestLaneBatchNotStored",
		},
		{
			Name: "a reader that stalls goes on waiting", Why: "where one of three NATS servers does not catch up, what is read there stands still until somebody restarts it",
			File:    "shared/bus/read.go",
			Find:    "if waits && newest > last && last == at {",
			Replace: "if waits && newest > last && last == at && newest == 0 {",
			Package: busTests, Test: "TestBus/stalledReader",
		},
		{
			Name: "one that is stuck keeps back those before it", Why: "what cannot be taken for now is decided again and again with what came before it, and none of it moves",
			File:    "shared/bus/hop.go",
			Find:    "return errors.Join(err, h.settleAll(late, open))",
			Replace: "if err != nil {\n\t\treturn err\n\t}\n\treturn h.settleAll(late, open)",
			Package: busTests, Test: "TestBus/stuckBehindOthers",
		},
		{
			Name: "published again after a lost answer", Why: "once the server has forgotten the ID, the version is there twice",
			File:    "shared/bus/lane.go",
			Find:    "err == nil && m.ID() == id {",
			Replace: "err == nil && m.ID() == id && id == \"\" {",
			Package: busTests, Test: "TestLaneAnswerLost",
		},
		{
			Name: "frozen out of turn", Why: "a snapshot is said to stand at a MARK, and lacks what stands before it",
			File:    "shared/bus/lane.go",
			Find:    "\tif err := l.take(ctx); err != nil {\n\t\treturn err\n\t}\n\tdefer l.give()\n\tid, out, err := freeze()\n\tif err != nil {\n\t\treturn err\n\t}\n",
			Replace: "\tid, out, err := freeze()\n\tif err != nil {\n\t\treturn err\n\t}\n\tif err := l.take(ctx); err != nil {\n\t\treturn err\n\t}\n\tdefer l.give()\n",
			Package: busTests, Test: "TestBus/freeze",
		},

		{
			Name: "what was written since is taken for removed", Why: "a run that begins while KS_PHASE is read anew stands still until somebody restarts the reconciler",
			File:    "services/reconciler/manager.go",
			Find:    "d.exists && d.revision <= n.at {",
			Replace: "d.exists {",
			Package: runTests, Test: "TestPhasesReadAnew",
		},

		// Over the bus.
		{
			Name: "checkpoint without compare-and-swap", Why: "two replicas of one hop both write what they read: each change is there twice",
			File:    "shared/bus/ledger.go",
			Find:    "\tfirst[jetstream.ExpectedLastSubjSeqSubjHeader] = []string{l.OwnerFilter}\n\tfirst[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(l.head, 10)}\n",
			Replace: "\t_ = first\n",
			Package: busTests, Test: "TestBus/competingHops",
		},
		{
			Name: "cursor not held against the log", Why: "what was removed before it was read is skipped, and nobody is told",
			File:    "shared/bus/ledger.go",
			Find:    "return l, l.verify(ctx)",
			Replace: "return l, nil",
			Package: busTests, Test: "TestBus/logCut",
		},
		{
			Name: "a leader that is behind is believed", Why: "on three nodes a stream is taken for lost that is not, and what was routed is routed again",
			File:    "shared/bus/extent.go",
			Find:    "e.Last >= seq || info.Config.Replicas < 2 {",
			Replace: "e.Last >= seq || info.Config.Replicas > 0 {",
			Package: busTests, Test: "TestBusOnThree/leaderBehind",
		},
		{
			Name: "a read that is cut short taken for whole", Why: "what is behind the cut is taken for what is not there",
			File:    "shared/bus/read.go",
			Find:    "\t\t\tif newest, err = b.Newest(ctx, stream, filter); err != nil {\n\t\t\t\treturn err\n\t\t\t}\n\t\t\tcontinue\n",
			Replace: "\t\t\treturn nil\n",
			Package: busTests, Test: "TestBus/cutRange",
		},
		{
			Name: "fan-out begun anew after a crash", Why: "the first thousand destinations have the change twice",
			File:    "shared/bus/ledger.go",
			Find:    "return o.Subject <= l.lead.After })",
			Replace: "return o.Subject < \"\" })",
			Package: busTests, Test: "TestBus/resumedFanOut",
		},
		{
			Name: "hop goes on above 90 %", Why: "no room is left for the checkpoints that would make some",
			File:    "shared/bus/hop.go",
			Find:    "full := h.Bus.room(ctx, h.Output); full != nil {",
			Replace: "full := h.Bus.room(ctx, h.Output); full != nil && h.Bus == nil {",
			Package: busTests, Test: "TestBus/fullStream",
		},
		{
			Name: "poison dropped", Why: "what cannot be processed is gone, instead of among the dead letters",
			File:    "shared/bus/hop.go",
			Find:    "if err := h.Bus.DeadLetter(ctx, h.Name, k, h.Input, m, why); err != nil {",
			Replace: "if err := ctx.Err(); err != nil && k.Name != \"\" {",
			Package: busTests, Test: "TestBus/poison",
		},
		{
			Name: "series with a gap taken for whole", Why: "what a lost chunk of a snapshot held is taken for deleted",
			File:    "shared/bus/series.go",
			Find:    "got != end.Digest || count != end.Count {",
			Replace: "got == end.Digest && count != end.Count {",
			Package: busTests, Test: "TestBus/seriesNotWhole",
		},
		{
			Name: "lease taken whatever stands there", Why: "two replicas do the same work, and each undoes the other's",
			File:    "shared/bus/lease.go",
			Find:    "\th[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(l.revision, 10)}\n",
			Replace: "\t_ = strconv.FormatUint(l.revision, 10)\n",
			Package: busTests, Test: "TestBus/leasesRaced",
		},
		{
			Name: "a lost answer waited for to the end", Why: "a server that is killed holds up a branch for minutes, in the middle of a push",
			File:    "shared/bus/connect.go",
			Find:    "func (impatient) Deadline() (deadline time.Time, ok bool) { return deadline, false }",
			Replace: "func (i impatient) Deadline() (deadline time.Time, ok bool) { return i.Context.Deadline() }",
			Package: busTests, Test: "TestAnswerLostToReader",
		},
		{
			Name: "routed under an older registry", Why: "a destination that has just been registered misses changes for ever",
			File:    "services/router/router.go",
			Find:    "return r.registry.Wait(ctx, revision)",
			Replace: "return r.registry.Wait(ctx, min(revision, 0))",
			Package: roleTests, Test: "TestRouterWaitsForTheRegistry",
		},
		{
			Name: "janitor trims past a cursor", Why: "changes go that their destination has not taken yet",
			File:    "services/reconciler/janitor/plan.go",
			Find:    "before := min(l.Before, l.Newest[part], t.Cursor)",
			Replace: "before := min(l.Before, l.Newest[part])",
			Package: janitorTests, Test: "TestLive",
		},
		{
			Name: "janitor trims what a limit holds back", Why: "the newest version of an object that flaps never reaches Git",
			File:    "services/reconciler/janitor/plan.go",
			Find:    "first = min(first, seq)",
			Replace: "first = max(first, seq)",
			Package: janitorTests, Test: "TestWrite",
		},
		{
			Name: "janitor takes who is not known yet for gone", Why: "a destination that was refused is not compared once it is admitted",
			File:    "services/reconciler/janitor/statuses.go",
			Find:    "err := j.destinations.Newest(ctx, key); !errors.Is(err, bus.ErrNoMessage) {",
			Replace: "err := j.destinations.Newest(ctx, key); err != nil && !errors.Is(err, bus.ErrNoMessage) {",
			Package: roleTests, Test: "TestStatusesOfWhoHasLeft",
		},

		// Runs.
		{
			Name: "changes released before the results", Why: "a run writes an older state over a newer one",
			File:    "services/stream/phase/phase.go",
			Find:    "return s.Hold && (s.Step == Waiting || s.Step == Applying) }",
			Replace: "return s.Hold && s.Step == Applying }",
			Package: phaseTests, Test: "TestMachine",
		},
		{
			Name: "result written over a newer change", Why: "what changed behind the MARK of a run is undone by its results",
			File:    "services/stream/decide/run.go",
			Find:    "case passed.Has(r.Entry.Path):",
			Replace: "case passed.Has(\"\"):",
			Package: roleTests, Test: "TestStreamLate",
		},
		{
			Name: "phase shown that has ended", Why: "a destination that is live is said to be starting, by whoever had it before",
			File:    "services/stream/show.go",
			Find:    " || st.Behind(*rec) {",
			Replace: " {",
			Package: roleTests, Test: "TestStreamShowsNothingOlder",
		},
		{
			Name: "equal content of another object suppressed", Why: "of two objects with the same content one is missing in Git",
			File:    "services/stream/stage.go",
			Find:    "last, _ := s.recent.Get(object{s.term, k, in.Path()})",
			Replace: "var last phase.Last\n\tfor _, o := range s.recent.Keys() {\n\t\tif l, _ := s.recent.Peek(o); o.destination == k && l.Hash == in.Hash() {\n\t\t\tlast = l\n\t\t}\n\t}",
			Package: roleTests, Test: "TestStreamDeduplicates",
		},
		{
			Name: "deletion without a complete snapshot", Why: "all files of a type go because the API server did not list it",
			File:    "services/reconciler/diff/diff.go",
			Find:    "!told || m.types.has(namespace, group, resource) || ",
			Replace: "!told || namespace == \"-\" || ",
			Package: diffTests, Test: "TestMerge",
		},
		{
			Name: "deletions without the guard", Why: "rules that are typed wrong empty the folder, and nobody is asked",
			File:    "services/reconciler/diff/guard.go",
			Find:    "if d.count <= cfg.Prune.MaxFiles || ",
			Replace: "if d.count > 0 || ",
			Package: diffTests, Test: "TestGuard",
		},
		{
			Name: "orphan removed that was changed since", Why: "a run removes a file that was written after it looked",
			File:    "services/git-writer/internal/branch/batch.go",
			Find:    "return w.Replaces != \"\" && !w.stood.IsZero() && w.Replaces != contentHash(w.path, w.stood, holds)",
			Replace: "return w.Replaces == \"-\" && w.Replaces != contentHash(w.path, w.stood, holds)",
			Package: roleTests, Test: "TestGitWriterLeavesChangedOrphans",
		},

		// Into Git.
		{
			Name: "taken before it is pushed", Why: "what the remote refuses, or a crash leaves, is never tried again",
			File:    "services/git-writer/internal/branch/push.go",
			Find:    "\tif commits, _ := s.repo.Pending(); commits > 0 {\n\t\tbegun := time.Now()\n",
			Replace: "\tif err := s.note(ctx, s.consumed, s.held); err != nil {\n\t\treturn err\n\t}\n\tif commits, _ := s.repo.Pending(); commits > 0 {\n\t\tbegun := time.Now()\n",
			Package: roleTests, Test: "TestGitWriterRefused/PushRefused",
		},
		{
			Name: "pushed onto whatever the remote has", Why: "other people's commits are overwritten as by a force push",
			File:    "services/git-writer/internal/repo/push.go",
			Find:    "ans, err := b.remote.receivePack(ctx, &packp.Command{Name: b.remote.ref, Old: p.old, New: p.new}, p.write)",
			Replace: "old := p.old\n\t\tif up, err := b.remote.upload(ctx); err == nil {\n\t\t\told = up.tip\n\t\t\tup.close()\n\t\t}\n\t\tans, err := b.remote.receivePack(ctx, &packp.Command{Name: b.remote.ref, Old: old, New: p.new}, p.write)",
			Package: repoTests, Test: "TestForeignCommitBeforePush",
		},
		{
			Name: "file of others overwritten unseen", Why: "what somebody has changed in the meantime is replaced without being looked into",
			File:    "services/git-writer/internal/repo/line.go",
			Find:    "if applied[i] && op.New && op.was != (item{}) && op.was.hash != op.Replaces {",
			Replace: "if applied[i] && op.New && op.was != (item{}) && op.was.hash == op.Replaces {",
			Package: repoTests, Test: "TestNewOnly",
		},
		{
			Name: "rival's commits built upon", Why: "two git-writers of one branch commit the same changes twice",
			File:    "services/git-writer/internal/repo/fetch.go",
			Find:    "if !rel.rival.IsZero() {",
			Replace: "if !rel.rival.IsZero() && b.rival == nil {",
			Package: repoTests, Test: "TestRivalOnTopOfOurs",
		},
		{
			Name: "position of another branch", Why: "where one mirrored branch is merged into another, changes of that one are skipped",
			File:    "services/git-writer/internal/message/message.go",
			Find:    "found.Incarnation == incarnation && found.BranchKey == branchKey &&",
			Replace: "found.Incarnation == incarnation && (found.BranchKey == branchKey || i >= 0) &&",
			Package: roleTests, Test: "TestGitWriterBranches/merged_into_each_other,_remembered_false",
		},
		{
			Name: "cut log read on behind the cut", Why: "changes that were removed before they were written are missing in Git, and nobody is told",
			File:    "services/git-writer/internal/branch/position.go",
			Find:    "if ledger.Cut(position, extent.First) && s.stays(hint) {",
			Replace: "if ledger.Cut(position, extent.First) && s.stays(hint) && position == 0 {",
			Package: roleTests, Test: "TestGitWriterCut/changes_that_waited",
		},
		{
			Name: "position read from anywhere in a message", Why: "a commit that quotes another one makes the git-writer skip changes",
			File:    "services/git-writer/internal/message/message.go",
			Find:    "if i := strings.LastIndex(msg, \"\\n\\n\"); i >= 0 {\n\t\tmsg = msg[i+2:]\n\t}\n\tlines := strings.Split(msg, \"\\n\")\n\tfor i, line := range lines {\n\t\tvalue, is := strings.CutPrefix(line, TrailerPosition",
			Replace: "lines := strings.Split(msg, \"\\n\")\n\tfor i, line := range lines {\n\t\tvalue, is := strings.CutPrefix(line, TrailerPosition",
			Package: messageTests, Test: "TestParsePosition",
		},
		{
			Name: "pushed in DryRun", Why: "who only wants to look finds commits in the repository",
			File:    "services/git-writer/internal/branch/build.go",
			Find:    "\t\t\tcommit = s.rehearse\n",
			Replace: "\t\t\tcommit = s.commit\n",
			Package: roleTests, Test: "TestGitWriterDryRunBeside",
		},
		{
			Name: "a push ends where its reader pauses", Why: "on a busy machine what waits takes several pushes, and a quiet destination waits for them",
			File:    "services/git-writer/internal/branch/gather.go",
			Find:    "known{true, s.record.newest(ctx, s.BranchKey), time.Now().Add(knownWait)}",
			Replace: "known{true, 0, time.Now().Add(knownWait)}",
			Package: branchTests, Test: "TestGather",
		},
		{
			Name: "Secret in clear in Git", Why: "a change that came in clear although its type is sensitive is published for ever",
			File:    "services/git-writer/internal/branch/encrypt.go",
			Find:    "case c.SealedTo == \"\" && (sensitive || manifest.IsSealedPath(c.Path)):",
			Replace: "case c.SealedTo == \"\" && manifest.IsSealedPath(c.Path):",
			Package: branchTests, Test: "TestNeverWritten",
		},
		{
			Name: "status taken for intent", Why: "each heartbeat of a controller becomes a commit",
			File:    "shared/manifest/sanitize.go",
			Find:    "if key != \"status\" {",
			Replace: "if key != \"\" {",
			Package: manifestTests, Test: "TestGolden",
		},
	}
}
