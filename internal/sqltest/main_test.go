package sqltest

import (
	"testing"

	"github.com/taskrunner/taskrunner/internal/testdb"
)

func TestMain(m *testing.M) { testdb.Main(m) }
