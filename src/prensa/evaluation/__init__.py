"""The pressed model beside its original: size, speed, memory and quality, measured."""
