import {defineConfig} from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
	{ignores: ['node_modules/', 'dist/', 'build*/', 'coverage/', 'data/']},
	...tseslint.configs.strictTypeChecked,
	...tseslint.configs.stylisticTypeChecked,
	{
		languageOptions: {
			parserOptions: {
				projectService: {allowDefaultProject: ['*.js', 'scripts/*.mjs']},
				tsconfigRootDir: import.meta.dirname,
			},
		},
		rules: {
			'@typescript-eslint/consistent-type-imports': 'error',
			'@typescript-eslint/explicit-module-boundary-types': 'error',
			'@typescript-eslint/no-floating-promises': 'error',
			'@typescript-eslint/no-misused-promises': ['error', {checksVoidReturn: {arguments: false}}],
			'@typescript-eslint/no-unnecessary-condition': ['error', {allowConstantLoopConditions: 'only-allowed-literals'}],
			'@typescript-eslint/promise-function-async': 'off',
			'@typescript-eslint/restrict-template-expressions': ['error', {allowNumber: true, allowBoolean: true}],
			'@typescript-eslint/switch-exhaustiveness-check': 'error',
			'@typescript-eslint/no-confusing-void-expression': ['error', {ignoreArrowShorthand: true}],
			'@typescript-eslint/prefer-nullish-coalescing': ['error', {ignorePrimitives: {string: true}}],
			'@typescript-eslint/require-await': 'off',
			'@typescript-eslint/dot-notation': 'off',
			'no-console': 'error',
			'no-restricted-exports': ['error', {restrictDefaultExports: {direct: true}}],
			eqeqeq: 'error',
			'prefer-const': 'error',
		},
	},
	{
		files: ['*.config.js', 'scripts/**'],
		extends: [tseslint.configs.disableTypeChecked],
	},
	{
		files: ['*.config.js', 'scripts/**', 'test/bench/**'],
		rules: {'no-restricted-exports': 'off', 'no-console': 'off'},
	},
);
