"""What hatch_build.py does, a step a file. Imported by the builds alone, and shipped in the sdist."""
