// A second build directory lets two people (or two checkouts of a build) test side by side.
const build = process.env['BUILD_DIR'] ?? 'build';

export default {
	files: [`${build}/test/**/*.test.js`],
	workerThreads: false,
	timeout: '2m',
	failWithoutAssertions: true,
};
