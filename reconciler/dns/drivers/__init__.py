"""One driver per kind of provider, all behind state.drivers.ZoneDriver; `opening` picks one."""
