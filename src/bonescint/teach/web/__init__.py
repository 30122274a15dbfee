"""The pages of `bonescint teach`. Loaded when they are served."""
