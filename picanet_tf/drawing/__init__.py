"""Pictures of what networks do: maps, attention, panels, videos. No TensorFlow."""
