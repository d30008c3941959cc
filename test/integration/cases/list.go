// Package cases lists what kubescribe has to survive on its bus, and which tests play it on a real NATS
// server: a reader finds them here, and a test sees to it that they are there.
package cases

// The packages of the tests.
const (
	onBus   = "test/integration/bus"
	onRoles = "test/integration"
	onAll   = "test/e2e" // the programs, a real API server and a real Git server
	onStore = "services/kubescribe/internal/datadir"
)

// Case is something that happens.
type Case struct {
	Number int
	What   string
	Parts  []Part
}

// Part is what has to hold then, and who plays it.
type Part struct {
	What  string
	Tests []Test
}

// Test is a test, as go test -run takes it: with those within it behind slashes.
type Test struct{ Package, Name string }

// in are tests of a package.
func in(pkg string, names ...string) (tests []Test) {
	for _, name := range names {
		tests = append(tests, Test{pkg, name})
	}
	return tests
}

// and puts tests together.
func and(of ...[]Test) (all []Test) {
	for _, tests := range of {
		all = append(all, tests...)
	}
	return all
}

// List is all cases. TestBus is the bus on one node, TestBusKilled on one that is killed, TestBusOnThree on three.
func List() []Case {
	return []Case{
		{1, "content that comes back, or comes twice, while IDs are remembered", []Part{
			{"an object that goes back to what it was is there three times", and(
				in(onBus, "TestBus/AtoBtoA", "TestBusOnThree/AtoBtoA"), in(onRoles, "TestStreamDeduplicates", "TestGitWriterCommitsEachChange"),
				in(onAll, "TestCrashes", "TestFaults", "TestRaces"))},
			{"two objects of one content are both there", and(
				in(onBus, "TestBus/AtoBtoA", "TestBusOnThree/AtoBtoA"), in(onRoles, "TestStreamDeduplicates", "TestGitWriterCommitsEachChange"))},
		}},
		{2, "the server is killed right behind an answer", []Part{
			{"what it answered for is there", and(in(onBus, "TestBusKilled/killedBehindAnswers", "TestBusOnThree/killedBehindAnswers"), in(onAll, "TestCrashes"))},
			{"a request that was acknowledged may come again, and stops nobody", and(in(onBus, "TestBusKilled/killedBehindAnswers"), in(onAll, "TestCrashes"))},
		}},
		{3, "IDs are forgotten after a second", []Part{
			{"by a lane whose answers are lost", in(onBus, "TestLaneAnswerLost", "TestBus/forgetful", "TestBusKilled/forgetful", "TestBusOnThree/forgetful")},
			{"under chaos, all the way", in(onAll, "TestCrashes", "TestFaults")},
		}},
		{4, "an owner stands still past its lease, and goes on", []Part{
			{"what it publishes is refused", and(in(onBus, "TestBus/fencing", "TestBus/publishAll", "TestBusOnThree/fencing"), in(onRoles, "TestStreamSecondOwner"))},
			{"what it pushes is refused", in(onRoles, "TestGitWriterStandsStill")},
			{"a whole service", in(onAll, "TestRacesOfWatchers", "TestFaults")},
		}},
		{5, "an answer is lost, of what was done", []Part{
			{"of a publish, and of a batch of a lane", in(onBus, "TestLaneAnswerLost", "TestBus/forgetful")},
			{"of what a hop stores, alone and in a batch", in(onBus, "TestBus/forgetful", "TestBusKilled/forgetful")},
			{"of a key, and of the end of a series", in(onBus, "TestAnswerLost", "TestBus/seriesLostAnswer")},
			{"of a push", in(onRoles, "TestGitWriterAnswersLost", "TestGitWritersLoseAnswers")},
			{"of any step of any service", in(onAll, "TestCrashes")},
		}},
		{6, "one node, or three", []Part{
			{"the bus on one", in(onBus, "TestBus", "TestBusKilled")},
			{"the bus on three", in(onBus, "TestBusOnThree")},
			{"one of three has a message before their leader", in(onBus, "TestBusOnThree/leaderBehind", "TestBusOnThree/competingHops")},
			{"the services on one, and on three", in(onAll, "TestServices", "TestCrashes", "TestFaults", "TestNATSNodeLost")},
		}},
		{7, "the server is restarted in the middle of what is published", []Part{
			{"one by one", in(onBus, "TestBus/restartUnderLoad", "TestBusKilled/restartUnderLoad")},
			{"in batches", in(onBus, "TestBus/batchesUnderKills", "TestBusKilled/batchesUnderKills", "TestBusOnThree/batchesUnderKills")},
			{"by hops that compete", in(onBus, "TestBus/togetherUnderKills", "TestBusKilled/togetherUnderKills")},
			{"under all services", in(onAll, "TestServices", "TestCrashes")},
		}},
		{8, "reading what is stored is cut short", []Part{
			{"a range is whole, or ends with an error", and(in(onBus, "TestBus/cutRange", "TestBusKilled/cutRange", "TestBusOnThree/cutRange"), in(onRoles, "TestRange"))},
			{"a reader that loses its consumer, or is handed nothing, goes on", in(onBus, "TestBus/consumerRemoved", "TestBus/stalledReader")},
		}},
		{9, "a checkpoint that nothing has come behind for long", []Part{
			{"is not removed, nor taken for a gap, by retention and a restart of the server", in(onRoles, "TestIdleLedgerIsNoGap", "TestMendedLedgerIsNoGap", "TestHeldIsNotTrimmed")},
			{"is stored though nothing was to be said, and read after a restart", and(in(onBus, "TestBus/quietCursor", "TestBusKilled/quietCursor", "TestBusOnThree/quietCursor"), in(onRoles, "TestRouterRestartsQuietly"))},
		}},
		{10, "a lease that was renewed, and whose owner is gone", []Part{
			{"goes to another one", in(onBus, "TestBus/leasesOfTheGone", "TestBusOnThree/leasesOfTheGone")},
		}},
		{11, "a stream that is made anew, restored, or cut below a cursor leads to a run, and nothing is passed over in silence", []Part{
			{"a hop", in(onBus, "TestBus/logWentBack", "TestBus/logCut", "TestBusOnThree/logWentBack", "TestBusOnThree/logCut")},
			{"KS_EVENTS", and(in(onRoles, "TestRouterLogWentBack", "TestRouterCut"), in(onAll, "TestLogsMadeAnew"))},
			{"KS_LIVE", and(in(onRoles, "TestStreamLogWentBack", "TestStreamCut", "TestStreamCutAndReconciled", "TestStreamFenced"), in(onAll, "TestLogsMadeAnew"))},
			{"KS_WRITE", and(in(onRoles, "TestStreamCheckpointRemoved", "TestGitWriterLogWentBack", "TestGitWriterCut"), in(onAll, "TestLogsMadeAnew"))},
			{"all of the bus", and(in(onRoles, "TestGitWriterBusRestored"), in(onAll, "TestBusRestored", "TestBusLost"))},
		}},
		{12, "a stream is full, or a remote is dead", []Part{
			{"who writes stands still, hop by hop, and goes on once there is room", and(in(onBus, "TestBus/fullStream", "TestBus/fullDeadLetters"), in(onRoles, "TestFullStreams"))},
			{"a run waits for room, or is made again", and(in(onBus, "TestBus/fullSnap"), in(onRoles, "TestReconcilerSnapFull", "TestGitWriterSnapFull", "TestRunsShareSnap"))},
			{"the disk is full", in(onAll, "TestNATSDiskFull")},
			{"a dead remote, or a destination that is held back, stops nobody else", in(onRoles, "TestDeadRemote", "TestGitWriterOutageOfOne", "TestHeldGivesWay")},
		}},
		{13, "a snapshot that is not whole", []Part{
			{"of two who write one, the first to close it is read", in(onBus, "TestBus/seriesOfTwo")},
			{"one that lacks a chunk is none, and is made again", and(in(onBus, "TestBus/seriesNotWhole", "TestBusOnThree/seriesNotWhole"), in(onRoles, "TestReconcilerFailedAttempt/a chunk is missing"))},
			{"a crash before its end leaves nothing", and(in(onBus, "TestBus/seriesPurge"), in(onRoles, "TestReconcilerFindsWhatCrashed"), in(onAll, "TestCrashes"))},
		}},
		{14, "a hundred fast restarts", []Part{
			{"leave as many consumers as there were", in(onRoles, "TestRestartsLeaveNoConsumers")},
			{"readers, and runs, leave none", and(in(onBus, "TestBus/consumersAreStable"), in(onRoles, "TestStreamConsumersStay"))},
		}},
		{15, "a second process on the same store", []Part{
			{"refuses to start", and(in(onAll, "TestDataDirInUse"), in(onStore, "TestOpenTwice"))},
		}},
		{16, "a change for 3,000 destinations", []Part{
			{"each gets it once, while hops compete and the server is killed", in(onBus, "TestBus/wideFanOut", "TestBusKilled/wideFanOut", "TestBusOnThree/wideFanOut")},
			{"a crash in the middle is resumed behind the last one that has it", in(onBus, "TestBus/resumedFanOut")},
			{"from the watcher on, whatever their names", in(onRoles, "TestFanOut")},
		}},
		{17, "a destination that is removed and made again while IDs are remembered", []Part{
			{"has what happened meanwhile, and each version from then on, once", in(onRoles, "TestRegisteredAgain")},
			{"gets nothing that was for the former one", in(onRoles, "TestStreamRegisteredAgain", "TestGitWriterRegisteredAgain")},
			{"where its document is replaced, it is the same one", in(onAll, "TestDocumentsReplaced")},
		}},
		{18, "a watch that is resumed from before what was listed", []Part{
			{"has each version in between published", in(onRoles, "TestWatcherBehindItsIndex")},
			{"is no watch where the API server has forgotten that", and(in(onRoles, "TestWatcherGap", "TestWatcherGapsClosed"), in(onAll, "TestNATSAwayTooLong"))},
		}},
		{19, "the API server is restarted under load", []Part{
			{"no final state is lost, and none is doubled", in(onAll, "TestBurstWithoutAPIServer", "TestFaults")},
			{"what was deleted meanwhile is found", in(onAll, "TestDeletedBehindItsBack")},
			{"it may be another one, from a backup", in(onAll, "TestClusterRestored")},
		}},
		{20, "a branch that is mirrored, and has commits of another one", []Part{
			{"merged into each other", in(onRoles, "TestGitWriterBranches/merged into each other")},
			{"picked from each other", in(onRoles, "TestGitWriterBranches/picked from each other", "TestGitWriterBranches/an older one picked again")},
			{"branched off", in(onRoles, "TestGitWriterBranches/branched off", "TestGitWriterBranches/branched off, in the same folder")},
			{"a position that somebody has made up", in(onRoles, "TestGitWriterForgedPosition")},
		}},
	}
}
