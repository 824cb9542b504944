"""What a file costs on an Arm core that is not at hand: emulated, counted and modelled."""
