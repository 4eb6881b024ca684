package command_test

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cairn-network/cairn/cmd/cairn/command"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cairn": func() { os.Exit(command.Main()) }})
}

// The scripts run the program as a person would, without a network.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "../../../test/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("CAIRN_HOME", env.WorkDir+"/home")
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("CAIRN_NODE", "127.0.0.1:1") // nothing listens there
			return nil
		},
	})
}
