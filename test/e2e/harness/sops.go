package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// ReaderKey makes the key of somebody who may read what is encrypted, in a file, with kubescribe
// keygen, and returns its public half.
func ReaderKey(bins Bins, file string) (recipient string, err error) {
	program, err := bins.Program("kubescribe")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(program, "keygen", "reader", file).Output()
	if err != nil {
		return "", fmt.Errorf("making a key: %w", withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

// Decrypt decrypts a file with the stock sops, by a key that ReaderKey made.
func Decrypt(bins Bins, key, content string) (string, error) {
	program, err := bins.Program("sops")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(program, "--decrypt", "--input-type", "yaml", "--output-type", "yaml", "/dev/stdin")
	cmd.Env = append(os.Environ(), "SOPS_AGE_KEY_FILE="+key)
	cmd.Stdin = strings.NewReader(content)
	var out bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("sops: %w: %s", err, out.String())
	}
	return out.String(), nil
}

// SetValue changes one value of an encrypted file with the stock sops, as who may read it does.
func SetValue(bins Bins, key, file, at, value string) (said string, err error) {
	program, err := bins.Program("sops")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(program, "set", file, at, value)
	cmd.Env = append(os.Environ(), "SOPS_AGE_KEY_FILE="+key)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func withStderr(err error) error {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}
