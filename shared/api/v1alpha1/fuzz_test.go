package v1alpha1_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kubescribe/kubescribe/shared/api/v1alpha1"
)

// FuzzLoad plants a URL with a password anywhere in a file. Load must not panic, must
// not repeat the password in an error, and what it accepts must be valid and defaulted.
func FuzzLoad(f *testing.F) {
	const password = "hunter2Zq9"
	urls := []string{
		"https://user:" + password + "@git.example.com/a.git",
		"ssh://git:" + password + "@git.example.com/a.git",
		"user:" + password + "@git.example.com:a.git",
		"HTTPS://" + password + "@git.example.com/a.git",
	}
	sound := remoteDoc + destinationDoc + ruleDoc
	f.Add(sound, "", uint8(0))
	for _, name := range []string{"example.yaml", "full.yaml", "exported.list.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data), "", uint8(0))
	}
	for _, value := range []string{"https://git.example.com/a/b.git", "GitRemote", "origin", "kubescribe.dev/v1alpha1", "live", "default", `"*"`, "metadata", "url"} {
		for i := range urls {
			before, after, _ := strings.Cut(sound, value)
			f.Add(before, after, uint8(i))
			f.Add(before+"*", after, uint8(i))
			f.Add(before+"!", after, uint8(i))
			f.Add(before+"\t", after, uint8(i))
		}
	}
	for i, value := range []string{"interval: ", "maxDeletions: ", "mode: "} {
		input := strings.Replace(sound, "{name: origin}}\n", "{name: origin}, prune: {maxDeletions: 30%, mode: Always}, interval: 10m}\n", 1)
		at := strings.Index(input, value) + len(value)
		f.Add(input[:at], input[at:], uint8(i))
		f.Add(input[:at]+"1", input[at:], uint8(i))
	}
	for i := range urls {
		for _, value := range []string{"{{", `{{"`, `{{eq "`, "{{.", "{{$", "{{/*"} {
			input := strings.Replace(sound, "{name: origin}}\n", "{name: origin}, commit: {message: {subject: '"+value+"'}}}\n", 1)
			at := strings.Index(input, value) + len(value)
			f.Add(input[:at], input[at:], uint8(i))
			f.Add(input[:at], `" "x"}}`+input[at:], uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, before, after string, which uint8) {
		if strings.Contains(before+after, password) {
			t.Skip()
		}
		for _, input := range []string{before + after, before + urls[int(which)%len(urls)] + after} {
			docs, err := v1alpha1.Load(strings.NewReader(input), "f.yaml")
			if err != nil {
				if strings.Contains(err.Error(), password) {
					t.Fatalf("the password is in: %s", err)
				}
				if docs != nil {
					t.Fatal("documents beside an error")
				}
				for line := range strings.SplitSeq(err.Error(), "\n") {
					if !strings.HasPrefix(line, "f.yaml:") && !strings.HasPrefix(line, "and ") {
						t.Fatalf("a line without a position: %q", line)
					}
				}
				continue
			}
			if err := docs.Validate(); err != nil {
				t.Fatalf("loaded, but not valid: %s", err)
			}
			once := toJSON(t, docs)
			v1alpha1.SetDefaults(docs)
			if twice := toJSON(t, docs); once != twice {
				t.Fatalf("defaults set twice:\n%s\n%s", once, twice)
			}
		}
	})
}

func toJSON(t *testing.T, docs *v1alpha1.Documents) string {
	t.Helper()
	data, err := json.MarshalIndent(docs, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data) + "\n"
}
