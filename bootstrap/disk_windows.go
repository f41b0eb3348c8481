package bootstrap

// freeBytes is not known on Windows: the engine's data is inside a virtual machine.
func freeBytes(string) (uint64, bool) { return 0, false }
