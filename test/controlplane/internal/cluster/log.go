package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

const logFile = "controlplane.log"

// Console is where messages for the user go: the stderr that the process was
// started with. Logs do not reach it while Up runs.
var Console = os.Stderr

// startLog appends everything written to stderr from now on, which is where all
// components log to, to the log file in the working directory. Crashes are
// reported on the Console too.
func startLog() error {
	f, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	console, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Dup2(int(f.Fd()), int(os.Stderr.Fd())); err != nil {
		return err
	}
	Console = os.NewFile(uintptr(console), "console")
	klog.OsExit = func(int) { exitFatal() }
	return debug.SetCrashOutput(Console, debug.CrashOptions{})
}

// newEtcdLogger returns a logger to stderr like etcd's own, but with a fatal
// error that reaches the Console.
func newEtcdLogger() (*zap.Logger, error) {
	return logutil.DefaultZapLoggerConfig.Build(zap.WithFatalHook(fatalHook{}))
}

type fatalHook struct{}

func (fatalHook) OnWrite(*zapcore.CheckedEntry, []zapcore.Field) { exitFatal() }

// exitFatal ends the process after a component logged a fatal error.
func exitFatal() {
	path, err := filepath.Abs(logFile)
	if err != nil {
		path = logFile
	}
	fmt.Fprintf(Console, "controlplane: fatal error in a component (log: %s)\n", path)
	os.Exit(1)
}
